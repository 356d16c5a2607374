import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { systemClock } from "../../src/platform/clock.ts";
import { selfContainedConfig } from "../../src/translate/self-contained.ts";
import { createTranslator } from "../../src/translate/translator.ts";
import { temporaryAuthority } from "../support/authority.ts";
import { identityOf } from "../support/caller.ts";
import { envoyMissing } from "../support/envoy.ts";
import { startEnvoyInPod } from "../support/envoy-in-pod.ts";
import { answerWithName, askWhole, runInit } from "../support/intercepted-pod.ts";
import { endpoint, pod as podObject, service } from "../support/manifests.ts";
import { meshOf, proxyOf } from "../support/mesh.ts";
import { createTestNetwork, netnsMissing, type TestHost } from "../support/netns.ts";

/**
 * A pod in a network namespace of its own, with the rules that `trysail init` sets, a real Envoy with what the
 * translator sends it, and an app; and a machine beside it that calls the pod and is called.
 */

const skip = netnsMissing() || envoyMissing();
const VIP = "10.96.0.5";

for (const mode of ["REDIRECT", "TPROXY"] as const) {
  test(`${mode}: connections of both families pass through Envoy where they should`, { skip }, async (t) => {
    const { machine, pod } = await createTestNetwork(t);
    await answerWithName(machine, "machine", [8080, 9090]);
    await answerWithName(pod, "pod", [8080, 9090]);
    await runInit(t, pod, [
      `--interception-mode=${mode}`,
      "--exclude-inbound-ports=9090",
      "--exclude-outbound-ports=9090",
    ]);
    const envoy = await startProxy(t, pod, mode);

    for (const family of ["ipv4", "ipv6"] as const) {
      const [here, there] = [pod[family], machine[family]];
      const loopback = family === "ipv4" ? "127.0.0.1" : "::1";
      const delivered = mode === "TPROXY" ? there : family === "ipv4" ? "127.0.0.6" : "::6";
      const app = { uid: 1000 };
      const cases: readonly Case[] = [
        [`${family} inbound`, machine, here, 8080, {}, `pod 8080 from ${delivered}`, "inbound"],
        [`${family} inbound to an excluded port`, machine, here, 9090, {}, `pod 9090 from ${there}`, null],
        [`${family} outbound`, pod, there, 8080, app, `machine 8080 from ${here}`, "outbound"],
        [`${family} outbound to an excluded port`, pod, there, 9090, app, `machine 9090 from ${here}`, null],
        [`${family} to its own address`, pod, here, 8080, app, `pod 8080 from ${here}`, null],
        [`${family} over loopback`, pod, loopback, 8080, app, `pod 8080 from ${loopback}`, null],
      ];
      for (const [what, from, to, port, options, answer, through] of cases) {
        const before = await envoy.connections();
        assert.equal(await askWhole(from, to, port, options), answer, what);
        const after = await envoy.connections();
        const expected = { ...before, ...(through === null ? {} : { [through]: before[through] + 1 }) };
        assert.deepEqual(after, expected, `${what}: connections that Envoy made`);
      }
    }

    const before = await envoy.connections();
    const answer = await askWhole(pod, VIP, 8080, { uid: 1000 });
    const self = mode === "TPROXY" ? pod.ipv4 : "127.0.0.6";
    assert.equal(answer, `pod 8080 from ${self}`, "a self-call through the service's address");
    assert.equal((await envoy.connections()).inbound, before.inbound + 1, "comes in as any other call");
  });
}

type Through = "inbound" | "outbound";
type Case = readonly [
  what: string,
  from: TestHost,
  to: string,
  port: number,
  options: { uid?: number },
  answer: string,
  through: Through | null,
];

/** Envoy as the sidecar runs: as user 1337, but for TPROXY, which takes root's rights; always of group 1337. */
async function startProxy(t: TestContext, host: TestHost, mode: "REDIRECT" | "TPROXY") {
  const mesh = meshOf(
    [
      podObject({ name: "web-0", ip: host.ipv4, labels: { app: "web" }, tls: true }),
      service({ name: "web", ports: { tcp: 8080 }, clusterIP: VIP }),
      endpoint("web", { name: "web-0", ip: host.ipv4 }, { tcp: 8080 }),
    ].join(""),
  );
  const metadata = { INTERCEPTION_MODE: mode, INSTANCE_IPS: `${host.ipv4},${host.ipv6}` };
  const resources = createTranslator(mesh).translate({ ...proxyOf(mesh, "web-0.shop"), metadata });
  const identity = await identityOf(await temporaryAuthority(t, systemClock), {
    namespace: "shop",
    serviceAccount: "default",
  });
  const config = selfContainedConfig(resources, "sidecar~10.99.0.2~web-0.shop~shop", identity);
  const envoy = await startEnvoyInPod(t, host, config, { asRoot: mode === "TPROXY" });
  return {
    /** How many connections Envoy made to the app, and to where the app wanted to go. */
    connections: async (): Promise<Record<Through, number>> => {
      const stats = await envoy.admin("/stats?filter=upstream_cx_total");
      const count = (cluster: string) =>
        Number(
          stats
            .split("\n")
            .find((line) => line.startsWith(`cluster.${cluster}.`))
            ?.split(": ")[1] ?? 0,
        );
      return { inbound: count("inbound|8080||"), outbound: count("PassthroughCluster") };
    },
  };
}
