import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { placeholderIdentity } from "../../src/ca/serving/placeholder-identity.ts";
import { get, type HttpAnswer } from "../support/caller.ts";
import { envoyMissing } from "../support/envoy.ts";
import { document, endpoint, istio, meshConfig, pod, service } from "../support/manifests.ts";
import { meshOf } from "../support/mesh.ts";
import { startSidecars } from "../support/sidecars.ts";
import { startUpstream, type Upstream } from "../support/upstream.ts";

/** For whom objects are, by their namespaces and what they select, asked of a real Envoy beside each caller. */

/** Whoever this rule holds for is given a cookie. */
const rule = (name: string, namespace: string, spec: object) =>
  istio(
    "DestinationRule",
    name,
    {
      ...spec,
      trafficPolicy: { loadBalancer: { consistentHash: { httpCookie: { name, path: "/", ttl: "60s" } } } },
    },
    namespace,
  );

/** Its hosts are answered with its name. */
const answering = (name: string, namespace: string, hosts: readonly string[], exportTo: readonly string[] = []) =>
  hosts
    .map((host, at) =>
      istio(
        "VirtualService",
        `${name}-${at}`,
        { hosts: [host], exportTo, http: [{ directResponse: { status: 200, body: { string: name } } }] },
        namespace,
      ),
    )
    .join("");

function manifests(upstream: Upstream, settings: string): string {
  let clusterIps = 0;
  const backend = (name: string, namespace = "data") =>
    service({ name, namespace, ports: { http: 80 }, clusterIP: `10.96.7.${++clusterIps}` }) +
    endpoint(name, { name: `${name}-0`, namespace, ip: upstream.ip }, { http: upstream.port });
  const entry = (name: string, exportTo: readonly string[]) =>
    istio(
      "ServiceEntry",
      name,
      {
        hosts: [`${name}.example.com`],
        ports: [{ number: 80, name: "http", protocol: "HTTP" }],
        resolution: "STATIC",
        endpoints: [{ address: upstream.ip, ports: { http: upstream.port } }],
        exportTo,
      },
      "data",
    );
  return [
    meshConfig(`outboundTrafficPolicy: { mode: REGISTRY_ONLY }\n${settings}`),
    document({ apiVersion: "v1", kind: "Namespace", metadata: { name: "shop", labels: { mesh: "yes" } } }),
    pod({ name: "chosen", ip: "127.0.0.130", labels: { app: "chosen" } }),
    pod({ name: "other", ip: "127.0.0.131", labels: { app: "other" } }),
    pod({ name: "inside", namespace: "data", ip: "127.0.0.132", labels: { app: "chosen" } }),
    ...["plain", "routed", "ruled", "named"].map((name) => backend(name)),
    // So that callers have a listener for requests, whatever else they see.
    backend("own", "shop"),
    document({
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "hidden", namespace: "data", annotations: { "networking.istio.io/exportTo": "." } },
      spec: { clusterIP: "10.96.7.99", ports: [{ name: "http", port: 80 }] },
    }),
    endpoint("hidden", { name: "hidden-0", namespace: "data", ip: upstream.ip }, { http: upstream.port }),
    entry("kept", ["."]),
    entry("given", ["shop"]),
    istio(
      "VirtualService",
      "routed",
      {
        hosts: ["routed"],
        exportTo: ["."],
        http: [{ headers: { response: { set: { "x-routed": "yes" } } }, route: [{ destination: { host: "routed" } }] }],
      },
      "data",
    ),
    // The older ones are first by name, as none says how old it is.
    answering("a-for-all", "data", ["one.wild.test", "*.wild.test", "*.test"]),
    answering("b-longer", "data", ["*.longer.wild.test", "two.test"]),
    answering("c-own", "data", ["one.wild.test"], ["."]),
    answering("d-named", "data", ["one.wild.test", "*.longer.wild.test"], ["shop"]),
    rule("kept-rule", "data", { host: "ruled", exportTo: ["."] }),
    rule("short-name", "data", { host: "named" }),
    rule("root-rule", "ops", { host: "routed.data.svc.cluster.local" }),
    rule("chosen-rule", "shop", {
      host: "plain.data.svc.cluster.local",
      workloadSelector: { matchLabels: { app: "chosen" } },
    }),
  ].join("");
}

async function startCallers(t: TestContext, settings = "") {
  const upstream = await startUpstream(t, "upstream", "127.0.0.133");
  const mesh = meshOf(manifests(upstream, settings));
  // What two callers see differs, so each has an Envoy of its own.
  const ask = async (caller: string) => {
    const running = await startSidecars(t, placeholderIdentity(), { [caller]: { mesh, pod: caller } });
    return (host: string) => get(running.port(caller, "0.0.0.0_80"), { headers: { host } });
  };
  return {
    chosen: await ask("chosen.shop"),
    other: await ask("other.shop"),
    // Where its namespace is no part of the mesh, neither is it.
    inside: mesh.pods.has("data/inside")
      ? await ask("inside.data")
      : async () => assert.fail("data is not in the mesh"),
  };
}

/** Names of the rules that held. */
function rulesOf({ status, headers, body }: HttpAnswer): string[] {
  assert.equal(status, 200, body);
  return (headers["set-cookie"] ?? []).map((cookie) => cookie.split("=")[0] ?? "");
}

test("objects are for those whom they are exported to, or whom they select", { skip: envoyMissing() }, async (t) => {
  const { chosen, other, inside } = await startCallers(t);

  await t.test("exportTo of a VirtualService", async () => {
    assert.equal((await inside("routed.data")).headers["x-routed"], "yes");
    const { status, headers } = await other("routed.data");
    assert.deepEqual([status, headers["x-routed"]], [200, undefined]);
  });

  await t.test("of wildcards the longer one holds, whichever is older, and a whole host before both", async () => {
    const answers = async (host: string) => (await inside(host)).body;
    assert.equal(await answers("x.test"), "a-for-all");
    assert.equal(await answers("x.longer.wild.test"), "b-longer");
    assert.equal(await answers("two.test"), "b-longer");
  });

  await t.test("one for few comes before one for all, whichever is older", async () => {
    assert.equal((await inside("one.wild.test")).body, "c-own");
    assert.equal((await other("one.wild.test")).body, "d-named");
    assert.equal((await other("x.longer.wild.test")).body, "d-named");
  });

  await t.test("exportTo of a DestinationRule", async () => {
    assert.deepEqual(rulesOf(await inside("ruled.data")), ["kept-rule"]);
    assert.deepEqual(rulesOf(await other("ruled.data")), []);
  });

  await t.test("exportTo of a Service, by its annotation", async () => {
    assert.equal((await inside("hidden.data")).status, 200);
    assert.equal((await other("hidden.data")).status, 502);
  });

  await t.test("exportTo of a ServiceEntry", async () => {
    assert.equal((await inside("kept.example.com")).status, 200);
    assert.equal((await other("kept.example.com")).status, 502);
    assert.equal((await inside("given.example.com")).status, 502);
    assert.equal((await other("given.example.com")).status, 200);
  });

  await t.test("host of a DestinationRule: a short name is that of its own namespace, for all callers", async () => {
    assert.deepEqual(rulesOf(await inside("named.data")), ["short-name"]);
    assert.deepEqual(rulesOf(await other("named.data")), ["short-name"]);
    assert.deepEqual(rulesOf(await inside("plain.data")), []);
  });

  await t.test("workloadSelector of a DestinationRule: callers of its own namespace with these labels", async () => {
    assert.deepEqual(rulesOf(await chosen("plain.data")), ["chosen-rule"]);
    assert.deepEqual(rulesOf(await other("plain.data")), []);
    assert.deepEqual(rulesOf(await inside("plain.data")), []);
  });
});

test("the mesh config says for whom objects are that do not say it themselves", { skip: envoyMissing() }, async (t) => {
  await t.test("defaultServiceExportTo", async (t) => {
    const { other, inside } = await startCallers(t, 'defaultServiceExportTo: ["."]');
    assert.equal((await inside("plain.data")).status, 200);
    assert.equal((await other("plain.data")).status, 502);
    assert.equal((await other("given.example.com")).status, 200, "it says so itself");
  });

  await t.test("defaultVirtualServiceExportTo", async (t) => {
    const { other, inside } = await startCallers(t, 'defaultVirtualServiceExportTo: ["."]');
    assert.equal((await inside("x.test")).body, "a-for-all");
    assert.equal((await other("x.test")).status, 502);
    assert.equal((await other("one.wild.test")).body, "d-named", "it says so itself");
  });

  await t.test("defaultDestinationRuleExportTo", async (t) => {
    const { other, inside } = await startCallers(t, 'defaultDestinationRuleExportTo: ["."]');
    assert.deepEqual(rulesOf(await inside("named.data")), ["short-name"]);
    assert.deepEqual(rulesOf(await other("named.data")), []);
  });

  await t.test("discoverySelectors: other namespaces are as if they were not there", async (t) => {
    const { other } = await startCallers(t, 'discoverySelectors: [{ matchLabels: { mesh: "yes" } }]');
    assert.equal((await other("plain.data")).status, 502);
    const both = await startCallers(t, 'discoverySelectors: [{ matchLabels: { mesh: "yes" } }, { matchLabels: {} }]');
    assert.equal((await both.other("plain.data")).status, 200);
  });

  await t.test("rootNamespace: its rules are for services that have none", async (t) => {
    const { other } = await startCallers(t, "rootNamespace: ops");
    assert.deepEqual(rulesOf(await other("routed.data")), ["root-rule"]);
    assert.deepEqual(rulesOf(await other("named.data")), ["short-name"]);
    assert.deepEqual(rulesOf(await (await startCallers(t)).other("routed.data")), []);
  });
});
