import assert from "node:assert/strict";
import { once } from "node:events";
import { rename, writeFile } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { adsBootstrap } from "../support/ads-bootstrap.ts";
import { get } from "../support/caller.ts";
import { testControlPlane } from "../support/control-plane.ts";
import { envoyMissing, startEnvoy } from "../support/envoy.ts";
import { document, meshConfig, pod, service } from "../support/manifests.ts";
import { until } from "../support/until.ts";
import { listenOn, startUpstream } from "../support/upstream.ts";

/** What becomes of requests to an endpoint that goes away, asked of a real Envoy that follows the mesh. */

interface Listed {
  readonly ip: string;
  readonly port: number;
  readonly isTerminating?: boolean;
}

function manifests(endpoints: readonly Listed[]): string {
  return [
    // The proxy has no certificate here, and would wait for one.
    meshConfig("enableAutoMtls: false"),
    pod({ name: "caller", ip: "127.0.0.120" }),
    service({ name: "web", ports: { http: 80 }, clusterIP: "10.96.0.1" }),
    ...endpoints.map(({ ip, port, isTerminating = false }) =>
      document({
        apiVersion: "discovery.k8s.io/v1",
        kind: "EndpointSlice",
        metadata: { name: `web-${ip}`, namespace: "shop", labels: { "kubernetes.io/service-name": "web" } },
        addressType: "IPv4",
        ports: [{ name: "http", port }],
        endpoints: [
          { addresses: [ip], conditions: { ready: !isTerminating, serving: true, terminating: isTerminating } },
        ],
      }),
    ),
  ].join("");
}

/** It answers only when told to. */
async function startWaiting(t: TestContext, ip: string) {
  const waiting: ServerResponse[] = [];
  const server = createServer((_, response) => waiting.push(response));
  return { ip, port: await listenOn(t, server, ip), waiting };
}

test("an endpoint that goes away gets no new requests, and finishes those it has", {
  skip: envoyMissing(),
}, async (t) => {
  const leaving = await startWaiting(t, "127.0.0.121");
  const staying = await startUpstream(t, "staying", "127.0.0.122");
  const controlPlane = await testControlPlane(
    t,
    { "mesh.yaml": manifests([leaving]) },
    { plaintext: { host: "127.0.0.1", port: 0 } },
  );
  assert.ok(controlPlane.ports.plaintext !== null);
  const envoy = await startEnvoy(t, adsBootstrap(controlPlane.ports.plaintext));
  const port = await envoy.listenerPort("requests");
  const change = async (endpoints: readonly Listed[]) => {
    const next = join(controlPlane.stateDir, "next.yaml");
    await writeFile(next, manifests(endpoints));
    await rename(next, join(controlPlane.dir, "mesh.yaml"));
  };
  const stat = (name: string) => envoy.stat(`cluster.outbound|80||web.shop.svc.cluster.local.${name}`);
  const ask = () => get(port, { headers: { host: "web" } });

  await until("the endpoint", async () => (await stat("membership_total")) === 1);
  const begun = ask();
  await until("the request at the endpoint", () => leaving.waiting.length === 1);

  await change([{ ...leaving, isTerminating: true }, staying]);
  await until("both endpoints", async () => (await stat("membership_total")) === 2);
  for (let i = 0; i < 20; i++) assert.equal((await ask()).headers["x-upstream"], "staying");
  assert.equal(leaving.waiting.length, 1, "it was sent no other");

  await change([staying]);
  await until("its end", async () => (await stat("membership_total")) === 1);
  const [response] = leaving.waiting;
  assert.ok(response !== undefined && !response.destroyed);
  response.end("late");
  await once(response, "finish");
  const { status, body } = await begun;
  assert.deepEqual({ status, body }, { status: 200, body: "late" });
});
