import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { discoveryResources } from "../../src/init/discovery.ts";
import { testControlPlane } from "../support/control-plane.ts";
import { envoyMissing, startEnvoy } from "../support/envoy.ts";
import { service } from "../support/manifests.ts";
import { temporaryPath } from "../support/state.ts";
import { until } from "../support/until.ts";
import { listenOn } from "../support/upstream.ts";

const PROXIES = 6;
const MAX_CONNECTION_AGE_MS = 1000;
/** The grace of a connection that was asked to move on is 10 s. */
const PATIENT = { timeoutMs: 60_000, everyMs: 200 };

test("a replica that comes later gets its share of the proxies, and none of them misses a thing", {
  skip: envoyMissing(),
}, async (t) => {
  const first = await testControlPlane(
    t,
    { "first.yaml": service({ name: "first", ports: { http: 80 } }) },
    { maxConnectionAgeMs: MAX_CONNECTION_AGE_MS },
  );
  const targets = [first.ports.grpc];
  let connections = 0;
  // As a Service does, and one after another, so that no chance decides.
  const balancer = createServer((client) => {
    const upstream = connect(targets[connections++ % targets.length] ?? 0, "127.0.0.1");
    for (const socket of [client, upstream]) {
      t.after(() => socket.destroy());
      socket.on("error", () => {});
      socket.on("close", () => [client, upstream].map((each) => each.destroy()));
    }
    client.pipe(upstream).pipe(client);
  });
  const address = `127.0.0.1:${await listenOn(t, balancer, "127.0.0.1")}`;
  const account = { namespace: "shop", serviceAccount: "web" };
  const tokenFile = await temporaryPath(t, "token");
  await writeFile(tokenFile, await first.issuer.issue({ ...account, audience: "istio-ca", ttlMs: 3_600_000 }));
  const envoys = await Promise.all(
    Array.from({ length: PROXIES }, (_, i) =>
      startEnvoy(t, {
        node: {
          id: `sidecar~127.0.0.1~web-${i}.shop~shop.svc.cluster.local`,
          cluster: "web",
          metadata: { NAMESPACE: "shop", SERVICE_ACCOUNT: "web" },
        },
        dynamic_resources: discoveryResources({ address, tokenFile, rootCertFile: first.rootPath }),
      }),
    ),
  );
  const everyoneKnows = async (name: string) => {
    const pages = await Promise.all(envoys.map((envoy) => envoy.admin("/clusters")));
    return pages.every((page) => page.includes(`outbound|80||${name}.`));
  };
  await until("the first service", () => everyoneKnows("first"), PATIENT);
  const proxiesOf = async ({ ports }: typeof first) => {
    const metrics = await (await fetch(`http://127.0.0.1:${ports.monitoring}/metrics`)).text();
    return [...metrics.matchAll(/^trysail_xds_proxies(?:\{[^}]*\})? (\d+)$/gm)].reduce(
      (sum, [, n]) => sum + Number(n),
      0,
    );
  };
  // Some may be on their way from one connection to the next.
  await until("all to be there", async () => (await proxiesOf(first)) === PROXIES, PATIENT);

  const { dir, stateDir } = first;
  const second = await testControlPlane(
    t,
    {},
    { source: { kind: "folders", dirs: [dir] }, stateDir, maxConnectionAgeMs: MAX_CONNECTION_AGE_MS },
  );
  targets.push(second.ports.grpc);
  await until("the second to have some", async () => (await proxiesOf(second)) >= PROXIES / 3, PATIENT);
  await writeFile(join(dir, "second.yaml"), service({ name: "second", ports: { http: 80 } }));
  await until("what was configured meanwhile", () => everyoneKnows("second"), PATIENT);
  assert.ok(await everyoneKnows("first"));
  for (const envoy of envoys) {
    const stats = await envoy.admin("/stats?filter=update_rejected");
    assert.deepEqual([...stats.matchAll(/update_rejected: ([1-9]\d*)/g)], []);
  }
});
