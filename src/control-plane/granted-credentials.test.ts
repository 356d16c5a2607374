import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { istio, pod } from "../../test/support/manifests.ts";
import { meshOf } from "../../test/support/mesh.ts";
import { SecretSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import { BuildCache } from "../platform/build-cache.ts";
import { grantedCredentials } from "./granted-credentials.ts";

const secret = (name: string, stringData: object, namespace = "shop") =>
  `---\n${JSON.stringify({ apiVersion: "v1", kind: "Secret", metadata: { name, namespace }, stringData })}\n`;
const rule = (name: string, credentialName: string, matchLabels: object, namespace = "shop") =>
  istio(
    "DestinationRule",
    name,
    {
      host: "bank.test",
      workloadSelector: { matchLabels },
      trafficPolicy: { tls: { mode: "MUTUAL", credentialName } },
    },
    namespace,
  );

const mesh = meshOf(
  [
    pod({ name: "web", ip: "10.1.0.1", labels: { app: "web" }, serviceAccount: "web" }),
    pod({ name: "other", ip: "10.1.0.2", labels: { app: "other" } }),
    pod({ name: "web", namespace: "edge", ip: "10.1.0.3", labels: { app: "web" }, serviceAccount: "web" }),
    secret("bank", { "tls.crt": "CHAIN", "tls.key": "KEY" }),
    secret("bank-cacert", { "ca.crt": "ROOTS" }),
    secret("bank", { "tls.crt": "THEIRS", "tls.key": "THEIRS" }, "edge"),
    secret("unnamed", { "tls.crt": "CHAIN", "tls.key": "KEY" }),
    rule("bank", "bank", { app: "web" }),
    rule("for-all", "unnamed", {}),
  ].join(""),
);

const granted = (name: string, namespace = "shop", serviceAccount = "web", claims = namespace) =>
  grantedCredentials(
    mesh,
    { name, namespace: claims },
    { trustDomain: "cluster.local", namespace, serviceAccount },
    new BuildCache(),
  ).map(({ bytes }) => fromBinary(SecretSchema, bytes));

test("a workload that a rule of its namespace selects has the Secrets that the rule names", () => {
  const [certificate, roots, ...more] = granted("web");
  assert.deepEqual([certificate?.name, roots?.name, more], ["kubernetes://bank", "kubernetes://bank-cacert", []]);
  assert.ok(certificate?.type.case === "tlsCertificate" && roots?.type.case === "validationContext");
  assert.equal(Buffer.from(certificate.type.value.privateKey?.specifier.value ?? "").toString(), "KEY");
  assert.equal(Buffer.from(roots.type.value.trustedCa?.specifier.value ?? "").toString(), "ROOTS");
});

const denied: readonly [who: string, ...Parameters<typeof granted>][] = [
  ["a workload that no rule selects", "other", "shop", "default"],
  ["a workload of another namespace", "web", "edge"],
  ["who runs under another account than the pod does", "web", "shop", "thief"],
  ["a pod that nobody knows", "nobody"],
  ["who claims another namespace than the proven one", "web", "shop", "web", "edge"],
];
for (const [who, ...proxy] of denied) {
  test(`${who} has none`, () => assert.deepEqual(granted(...proxy), []));
}

test("the list is the same while the Secrets are", () => {
  const cache = new BuildCache();
  const read = () =>
    grantedCredentials(
      mesh,
      { name: "web", namespace: "shop" },
      { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "web" },
      cache,
    );
  assert.equal(read(), read());
});

test("a gateway is given what Gateways name that select it by labels, of any namespace", () => {
  const server = {
    port: { number: 443, protocol: "HTTPS" },
    hosts: ["*"],
    tls: { mode: "SIMPLE", credentialName: "bank" },
  };
  const named = (selector?: object) =>
    grantedCredentials(
      meshOf(
        [
          pod({ name: "edge-0", namespace: "edge", ip: "10.1.0.4", labels: { istio: "edge" }, serviceAccount: "edge" }),
          secret("bank", { "tls.crt": "CHAIN", "tls.key": "KEY" }, "edge"),
          secret("bank", { "tls.crt": "THEIRS", "tls.key": "THEIRS" }, "shop"),
          istio("Gateway", "public", { ...(selector && { selector }), servers: [server] }, "shop"),
        ].join(""),
      ),
      { name: "edge-0", namespace: "edge" },
      { trustDomain: "cluster.local", namespace: "edge", serviceAccount: "edge" },
      new BuildCache(),
    );
  const [granted, ...more] = named({ istio: "edge" });
  assert.deepEqual([granted?.name, more], ["kubernetes://bank", []]);
  assert.ok(Buffer.from(granted?.bytes ?? []).includes("CHAIN"));
  assert.deepEqual(named({ istio: "other" }), []);
  assert.deepEqual(named(undefined), []);
});
