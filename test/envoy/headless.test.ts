import assert from "node:assert/strict";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { systemClock } from "../../src/platform/clock.ts";
import { selfContainedConfig } from "../../src/translate/self-contained.ts";
import { createTranslator } from "../../src/translate/translator.ts";
import { temporaryAuthority } from "../support/authority.ts";
import { type CallerIdentity, identityOf } from "../support/caller.ts";
import { envoyMissing } from "../support/envoy.ts";
import { startEnvoyInPod } from "../support/envoy-in-pod.ts";
import { runInit } from "../support/intercepted-pod.ts";
import { endpoint, istio, pod as podObject, service } from "../support/manifests.ts";
import { meshOf, proxyOf } from "../support/mesh.ts";
import { createTestNetwork, netnsMissing, type TestHost } from "../support/netns.ts";

/** Requests to headless services, intercepted, so that the address an application dials is really another pod's. */

const skip = netnsMissing() || envoyMissing();

/** Pods of `db`, each an address of the machine beside the caller's. */
const PODS = ["10.99.0.11", "10.99.0.12", "10.99.0.13"] as const;
/** This one takes mutual TLS. */
const SECURE = "10.99.0.14";
/** Ready for nobody yet. */
const UNKNOWN = "10.99.0.15";

/** Answers with the address that it was reached at, and how. */
async function startPods(machine: TestHost, { chainPem, keyPem, rootPem }: CallerIdentity): Promise<void> {
  for (const ip of [...PODS, SECURE, UNKNOWN]) await machine.run("ip", ["addr", "add", `${ip}/24`, "dev", "cable"]);
  const tls = { cert: chainPem, key: keyPem, ca: rootPem, requestCert: true };
  const server = `
    const answer = (how) => (request, response) =>
      response.end([request.socket.localAddress, how, request.url, request.headers["x-trysail-dialled"] ?? "unseen"].join(" "));
    const plain = require("node:http").createServer(answer("plain"));
    const secure = require("node:https").createServer(${JSON.stringify(tls)}, answer("mtls"));
    plain.listen(9090, "0.0.0.0", () => secure.listen(9443, "0.0.0.0", () => console.log("listening")));`;
  const { stdout } = machine.start(process.execPath, ["-e", server]);
  assert.match(String(await once(stdout ?? assert.fail(), "data")), /listening/);
}

async function startMesh(t: TestContext, more = "") {
  const { machine, pod } = await createTestNetwork(t);
  const authority = await temporaryAuthority(t, systemClock);
  await startPods(machine, await identityOf(authority, { namespace: "shop", serviceAccount: "db" }));
  await runInit(t, pod, []);
  const yaml = [
    podObject({ name: "web-0", ip: pod.ipv4, labels: { app: "web" }, tls: true }),
    // The pods listen on 9090, whatever the service's port is.
    service({ name: "db", ports: { http: { port: 80, targetPort: 9090 } } }),
    ...PODS.map((ip, i) => endpoint("db", { name: `db-${i}`, ip, hostname: `db-${i}` }, { http: 9090 })),
    podObject({ name: "db-3", ip: SECURE, labels: { app: "db" }, serviceAccount: "db", tls: true }),
    endpoint("db", { name: "db-3", ip: SECURE, hostname: "db-3" }, { http: 9443 }),
    service({ name: "front", ports: { http: 80 }, clusterIP: "10.96.0.9" }),
    istio("VirtualService", "front", { hosts: ["front"], http: [{ route: [{ destination: { host: "db" } }] }] }),
    more,
  ].join("");
  const mesh = meshOf(yaml);
  const resources = createTranslator(mesh).translate({
    ...proxyOf(mesh, "web-0.shop"),
    metadata: { INSTANCE_IPS: pod.ipv4 },
  });
  const identity = await identityOf(authority, { namespace: "shop", serviceAccount: "default" });
  await startEnvoyInPod(t, pod, selfContainedConfig(resources, "sidecar~10.99.0.2~web-0.shop~shop", identity));
  return async (ip: string, host: string, headers: readonly string[] = []) => {
    const given = [`host: ${host}`, ...headers].flatMap((header) => ["-H", header]);
    const [address = "", how, path, header] = (
      await pod.run("curl", ["-s", "-m", "15", ...given, `http://${ip}/list`], { uid: 1000 })
    ).split(" ");
    return { address, how, path, header };
  };
}

test("a request to a headless service goes to the pod that was dialled", { skip }, async (t) => {
  const ask = await startMesh(t);

  await t.test("by each of the service's names and the pod's own", async () => {
    for (const ip of PODS) {
      for (const host of ["db", "db.shop", "db.shop.svc.cluster.local", "db-1.db", "db-1.db.shop.svc.cluster.local"]) {
        assert.deepEqual([host, (await ask(ip, host)).address], [host, ip]);
      }
    }
  });

  await t.test("by mutual TLS where this pod takes it, in plaintext where it does not", async () => {
    assert.deepEqual((({ address, how }) => [address, how])(await ask(SECURE, "db")), [SECURE, "mtls"]);
    assert.equal((await ask(PODS[0], "db")).how, "plain");
  });

  await t.test("whatever a caller says that it dialled, and the pod does not see it", async () => {
    const { address, header } = await ask(PODS[0], "db", [`x-trysail-dialled: ${PODS[1]}`]);
    assert.deepEqual([address, header], [PODS[0], "unseen"]);
  });

  await t.test("who dialled none of its pods gets any", async () => {
    const seen = new Set<string>();
    for (let i = 0; i < 60 && seen.size < 4; i++) seen.add((await ask("10.96.0.9", "front")).address);
    assert.deepEqual([...seen].sort(), [...PODS, SECURE]);
    assert.ok([...PODS, SECURE].includes((await ask(UNKNOWN, "db")).address));
  });
});

test("the routes of a headless service hold for its pods' names, and its rule chooses no other pod", {
  skip,
}, async (t) => {
  const ask = await startMesh(
    t,
    istio("VirtualService", "db", {
      hosts: ["db"],
      http: [{ rewrite: { uri: "/routed/" }, route: [{ destination: { host: "db" } }] }],
    }) +
      istio("DestinationRule", "db", {
        host: "db",
        trafficPolicy: { loadBalancer: { consistentHash: { httpHeaderName: "x-user" } } },
      }),
  );
  for (const ip of PODS) {
    for (const host of ["db", "db-0.db.shop"]) {
      const { address, path } = await ask(ip, host, ["x-user: the same"]);
      assert.deepEqual([host, address, path], [host, ip, "/routed/list"]);
    }
  }
});
