import assert from "node:assert/strict";
import { createServer } from "node:http";
import { connect } from "node:net";
import { test } from "node:test";
import { placeholderIdentity } from "../../src/ca/serving/placeholder-identity.ts";
import { envoyMissing } from "../support/envoy.ts";
import { endpoint, pod, service } from "../support/manifests.ts";
import { meshOf } from "../support/mesh.ts";
import { rateLimit, startTestRateLimit } from "../support/rate-limits.ts";
import { startSidecars } from "../support/sidecars.ts";
import { listenOn } from "../support/upstream.ts";

const COUNTING = { name: "trysail-ratelimit", namespace: "trysail-ratelimit" };

/**
 * By header, twice each: `times` over, as one object may have many limits. What is counted by the clock is counted by the
 * month, lest an hour end in the middle of the test.
 */
const limits = (name: string, scope: "PROXY" | "GLOBAL", times: number) =>
  rateLimit(name, {
    selector: { matchLabels: { app: name } },
    // It counts in this process, which may stand still for a while on a busy machine; unanswered, a request would pass.
    service: { timeout: "30s" },
    requests: Array.from({ length: times }, (_, index) => ({
      ...{ name: `limit-${index}`, scope, rate: { amount: 2, unit: scope === "GLOBAL" ? "MONTH" : "HOUR" } },
      by: [{ header: "x-user" }],
    })),
  });

const workloads = {
  proxy: limits("proxy", "PROXY", 1),
  global: limits("global", "GLOBAL", 1),
  many: limits("many", "GLOBAL", 20),
};

/** What a caller may try, as the line of a header. */
const headers: Readonly<Record<string, Buffer>> = {
  "none at all": Buffer.from("x-other: 1"),
  "an empty value": Buffer.from("x-user:"),
  "bytes that are no text": Buffer.concat([Buffer.from("x-user: "), Buffer.from([0xff, 0xfe, 0x41])]),
  "half of a letter": Buffer.concat([Buffer.from("x-user: "), Buffer.from([0xe9])]),
  "a value twice": Buffer.from("x-user: a\r\nx-user: b"),
  "a long value": Buffer.from(`x-user: ${"c".repeat(4000)}`),
  "a value as long as Envoy takes them": Buffer.from(`x-user: ${"d".repeat(55_000)}`),
};

test("no value of a header evades a limit that counts by it", { skip: envoyMissing() }, async (t) => {
  const objects = Object.values(workloads).join("");
  const counting = await startTestRateLimit(t, objects);
  const app = await listenOn(
    t,
    createServer({ maxHeaderSize: 100_000 }, (_, response) => response.end("ok")),
    "127.0.0.1",
  );
  const names = Object.keys(workloads);
  const one = { name: "one", namespace: COUNTING.namespace, ip: "127.0.0.1" };
  const mesh = meshOf(
    [
      objects,
      service({ ...COUNTING, ports: { grpc: 8081 }, clusterIP: "10.96.0.9" }),
      endpoint(COUNTING.name, one, { grpc: counting.ports.grpc }),
      ...names.map(
        (name) =>
          pod({ name, ip: "127.0.0.1", labels: { app: name } }) +
          service({ name, ports: { http: { port: 80, targetPort: app } } }),
      ),
    ].join(""),
  );
  const sidecars = Object.fromEntries(names.map((name) => [name, { mesh, pod: `${name}.shop` }]));
  const running = await startSidecars(t, placeholderIdentity(), sidecars);
  for (const name of names) {
    for (const [kind, header] of Object.entries(headers)) {
      await t.test(`${name}: ${kind}`, async () => {
        const statuses: string[] = [];
        for (let i = 0; i < 3; i++) {
          statuses.push(await statusOf(running.port(name, "virtualInbound"), app, header));
        }
        assert.deepEqual(statuses, ["200", "200", "429"]);
      });
    }
  }
});

/** Of a request with these very bytes for a header, which no client of HTTP would send. */
async function statusOf(inbound: number, destination: number, header: Buffer): Promise<string> {
  const socket = connect(inbound, "127.0.0.1");
  socket.write(`PROXY TCP4 127.0.0.1 127.0.0.1 1234 ${destination}\r\n`);
  socket.write("GET / HTTP/1.1\r\nhost: app\r\nconnection: close\r\n");
  socket.write(header);
  socket.write("\r\n\r\n");
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk);
  return Buffer.concat(chunks).toString("latin1").slice("HTTP/1.1 ".length, "HTTP/1.1 200".length);
}
