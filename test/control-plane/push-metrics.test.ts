import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { TYPE_URL } from "../../src/xds/resource-set.ts";
import { type TestControlPlane, testControlPlane } from "../support/control-plane.ts";
import { openUnreadStream } from "../support/unread-stream.ts";
import { until } from "../support/until.ts";
import { AdsClient, type AdsClientStream, NODE, sendDelta } from "../support/xds-client.ts";
import type { SeenResponse } from "../support/xds-messages.ts";

const typeUrl = TYPE_URL.cluster;

const service = (name: string, address: string) => `
apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: shop}
spec: {ports: [{name: http, port: 80}], clusterIP: ${address}}
`;

/** What Prometheus would read: each sample's value by its name and labels, as they stand in the text. */
async function samples({ ports }: TestControlPlane): Promise<(sample: string) => number> {
  const text = await (await fetch(`http://127.0.0.1:${ports.monitoring}/metrics`)).text();
  const byName = new Map(text.split("\n").map((line) => [line.replace(/ [^ ]*$/, ""), Number(line.split(" ").at(-1))]));
  return (sample) => byName.get(sample) ?? 0;
}

/** A proxy that asked for its clusters, and has accepted them. */
async function connected(client: AdsClient): Promise<AdsClientStream> {
  const stream = client.delta();
  sendDelta(stream, { node: NODE, typeUrl, resourceNamesSubscribe: [] });
  accept(stream, await stream.next());
  return stream;
}

function accept(stream: AdsClientStream, { nonce }: SeenResponse): void {
  sendDelta(stream, { typeUrl, responseNonce: nonce });
}

test("a change has converged when the last proxy has accepted it, and metrics say what it took", async (t) => {
  const local = { host: "127.0.0.1", port: 0 };
  const services = Array.from({ length: 20 }, (_, index) => service(`cart-${index}`, `10.96.0.${index + 1}`));
  const mesh = await testControlPlane(t, { "shop.yaml": services.join("---") }, { plaintext: local });
  const client = () => new AdsClient(t, { port: mesh.ports.plaintext ?? 0 });
  const [quick, slow] = [await connected(client()), await connected(client())];
  const before = await samples(mesh);
  assert.equal(before('trysail_xds_proxies{protocol="delta"}'), 2);
  assert.ok(before('trysail_push_bytes_total{type="cluster"}') > 2 * 20 * 100);

  const beganAt = Date.now();
  await writeFile(join(mesh.dir, "page.yaml"), service("page", "10.96.1.1"));
  const [first, second] = [await quick.next(), await slow.next()];
  accept(quick, first);
  const half = await until("the first proxy's answer", async () => {
    const now = await samples(mesh);
    return now("trysail_push_proxy_convergence_seconds_count") === 1 && now;
  });
  assert.equal(half("trysail_push_convergence_seconds_count"), before("trysail_push_convergence_seconds_count"));

  accept(slow, second);
  const after = await until("the last proxy's answer", async () => {
    const now = await samples(mesh);
    return now("trysail_push_proxy_convergence_seconds_count") === 2 && now;
  });
  const grown = (sample: string) => after(sample) - before(sample);
  assert.equal(grown("trysail_push_convergence_seconds_count"), 1);
  const tookS = grown("trysail_push_convergence_seconds_sum");
  assert.ok(tookS > 0 && tookS <= (Date.now() - beganAt) / 1000, `${tookS} s`);
  assert.equal(grown('trysail_push_responses_total{type="cluster"}'), 2);
  assert.ok(grown('trysail_push_bytes_total{type="cluster"}') > 0);
  for (const idle of ['trysail_push_queue{stage="change"}', 'trysail_push_queue{stage="send"}']) {
    assert.equal(after(idle), 0, idle);
  }
  const [rebuilt, reused] = ["rebuilt", "reused"].map((how) => grown(`trysail_push_builds_total{outcome="${how}"}`));
  assert.ok(
    rebuilt !== undefined && reused !== undefined && rebuilt > 0 && reused > 2 * rebuilt,
    `${rebuilt}, ${reused}`,
  );
});

test("a proxy that goes without an answer is not waited for", async (t) => {
  const mesh = await testControlPlane(t, {}, { plaintext: { host: "127.0.0.1", port: 0 } });
  const stream = await connected(new AdsClient(t, { port: mesh.ports.plaintext ?? 0 }));
  const convergences = async () => (await samples(mesh))("trysail_push_convergence_seconds_count");
  const before = await convergences();
  await writeFile(join(mesh.dir, "cart.yaml"), service("cart", "10.96.0.1"));
  await stream.next();
  assert.equal(await convergences(), before);
  stream.call.cancel();
  await until("the change to be done with", async () => (await convergences()) === before + 1);
});

test("what waits to be sent can be seen while a proxy does not read", async (t) => {
  const services = Array.from({ length: 500 }, (_, index) =>
    service(`cart-${index}`, `10.96.${index >> 8}.${index & 255}`),
  );
  const mesh = await testControlPlane(
    t,
    { "shop.yaml": services.join("---") },
    { plaintext: { host: "127.0.0.1", port: 0 } },
  );
  const inFlight = async () => (await samples(mesh))("trysail_push_bytes_in_flight");
  assert.equal(await inFlight(), 0);
  openUnreadStream(t, mesh.ports.plaintext ?? 0, typeUrl);
  await until("bytes in flight", async () => (await inFlight()) > 100_000);
  await until("the proxy to keep nobody waiting any longer", async () => (await inFlight()) === 0);
});
