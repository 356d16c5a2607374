import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { placeholderIdentity } from "../../src/ca/serving/placeholder-identity.ts";
import { TYPE_URL } from "../../src/xds/resource-set.ts";
import { envoyMissing } from "../support/envoy.ts";
import { endpoint, istio, meshConfig, pod, service } from "../support/manifests.ts";
import { meshOf, resourcesFor } from "../support/mesh.ts";
import { redisMissing, startRedis } from "../support/redis.ts";
import { startSidecars } from "../support/sidecars.ts";
import { until } from "../support/until.ts";
import { listenOn } from "../support/upstream.ts";

/** Ports of databases, asked through a real Envoy that looks into what is said there. */

const skip = envoyMissing() || redisMissing();
const filters = meshConfig("trysail: { databaseFilters: [MONGO, REDIS] }");

/** A query of everything in `db.orders`: https://www.mongodb.com/docs/manual/legacy-opcodes/#op_query */
function mongoQuery(): Buffer {
  const emptyDocument = Buffer.from([5, 0, 0, 0, 0]);
  const int32 = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32LE(value);
    return bytes;
  };
  const body = Buffer.concat([int32(0), Buffer.from("db.orders\0"), int32(0), int32(1), emptyDocument]);
  return Buffer.concat([int32(16 + body.length), int32(7), int32(0), int32(2004), body]);
}

/** What comes back, until there is enough of it. */
async function converse(port: number, words: Buffer | string, enough: (text: string) => boolean): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  let heard = "";
  socket.setEncoding("latin1").on("data", (text: string) => {
    heard += text;
  });
  try {
    await once(socket, "connect");
    socket.write(words);
    return await until("an answer", () => (enough(heard) ? heard : undefined));
  } finally {
    socket.destroy();
  }
}

async function startMesh(t: TestContext) {
  const redis = Number(new URL((await startRedis(t)).url).port);
  // It repeats what it hears, so that the test sees what came through.
  const echo = await listenOn(
    t,
    createServer((socket) => socket.on("error", () => socket.destroy()).pipe(socket)),
    "127.0.0.1",
  );
  const database = (name: string, index: number, kind: string, target: number) =>
    service({ name, ports: { [kind]: 4000 }, clusterIP: `10.96.8.${index}` }) +
    endpoint(name, { name: `${name}-0`, ip: "127.0.0.1" }, { [kind]: target });
  const yaml = [
    pod({ name: "caller", ip: "127.0.0.2", labels: { app: "caller" } }),
    database("cache", 1, "redis", redis),
    database("documents", 2, "mongo", echo),
    database("split", 3, "redis-b", redis),
    istio("VirtualService", "split", {
      hosts: ["split"],
      tcp: [
        {
          route: [
            { destination: { host: "split" }, weight: 1 },
            { destination: { host: "cache" }, weight: 1 },
          ],
        },
      ],
    }),
  ].join("");
  const running = await startSidecars(t, placeholderIdentity(), {
    looking: { mesh: meshOf(yaml + filters), pod: "caller.shop" },
    plain: { mesh: meshOf(yaml), pod: "caller.shop" },
  });
  return { ...running, yaml };
}

test("where the mesh config asks, callers' proxies look into what databases are asked", { skip }, async (t) => {
  const { envoy, port, yaml } = await startMesh(t);
  const get = "*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n";
  const commands = "redis.outbound|4000||cache.shop.svc.cluster.local.command.get.total";

  await t.test("Redis: commands are answered by the server, and counted", async () => {
    assert.equal(await converse(port("looking", "10.96.8.1_4000"), get, (text) => text.length > 0), "$-1\r\n");
    assert.equal(await envoy.stat(commands), 1);
  });

  await t.test("MongoDB: queries pass as they are, and are counted", async () => {
    const query = mongoQuery();
    const heard = await converse(port("looking", "10.96.8.2_4000"), query, (text) => text.length >= query.length);
    assert.deepEqual(Buffer.from(heard, "latin1"), query);
    const queries = "mongo.outbound|4000||documents.shop.svc.cluster.local.op_query";
    // Each way, as what stands for the server only repeats it.
    await until("the query to be counted", async () => (await envoy.stat(queries)) === 2);
  });

  await t.test("shares of several destinations are kept: such connections are passed on", async () => {
    assert.equal(await converse(port("looking", "10.96.8.3_4000"), get, (text) => text.length > 0), "$-1\r\n");
    const listeners = resourcesFor(meshOf(yaml + filters), "caller.shop").get(TYPE_URL.listener)?.byName;
    const looksInto = (name: string) => Buffer.from(listeners?.get(name)?.bytes ?? []).includes("redis_proxy");
    assert.deepEqual([looksInto("10.96.8.1_4000"), looksInto("10.96.8.3_4000")], [true, false]);
  });

  await t.test("and nowhere else", async () => {
    assert.equal(await converse(port("plain", "10.96.8.1_4000"), get, (text) => text.length > 0), "$-1\r\n");
    assert.equal(await envoy.stat(commands), 1);
  });
});
