import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect } from "node:net";
import { type TestContext, test } from "node:test";
import { decode, encode, type Packet, streamDecode, streamEncode } from "dns-packet";
import type { NameTable } from "./name-answers.ts";
import { createNameServer } from "./name-server.ts";

const table: NameTable = {
  answer({ name, type }) {
    if (name === "many.test") {
      return Array.from({ length: 200 }, (_, index) => ({ name, type: "A" as const, ttl: 5, data: `10.0.0.${index}` }));
    }
    if (name !== "web.test") return undefined;
    return type === "A" ? [{ name, type: "A", ttl: 5, data: "10.96.0.1" }] : [];
  },
};

async function start(t: TestContext) {
  const server = await createNameServer("127.0.0.1", 0, () => table);
  t.after(() => server.close());
  const query = (name: string): Packet => ({ type: "query", id: 7, flags: 0, questions: [{ name, type: "A" }] });
  const udp = async (bytes: Buffer): Promise<Packet> => {
    const socket = createSocket("udp4");
    t.after(() => socket.close());
    socket.send(bytes, server.port, "127.0.0.1");
    const [message] = await once(socket, "message");
    return decode(message);
  };
  return { port: server.port, query, udp };
}

test("answers a name with its address and the query's id", async (t) => {
  const { query, udp } = await start(t);
  const reply = await udp(encode(query("web.test")));
  assert.equal(reply.id, 7);
  assert.deepEqual(
    reply.answers?.map((answer) => "data" in answer && answer.data),
    ["10.96.0.1"],
  );
});

test("answers an unknown name with NXDOMAIN at once", async (t) => {
  const { query, udp } = await start(t);
  const reply = await udp(encode(query("example.org")));
  assert.equal((reply.flags ?? 0) & 15, 3);
  assert.deepEqual(reply.answers, []);
});

test("lives on behind bytes that are no query", async (t) => {
  const { port, query, udp } = await start(t);
  const socket = createSocket("udp4");
  t.after(() => socket.close());
  for (const garbage of [Buffer.alloc(0), Buffer.from([1, 2, 3]), Buffer.alloc(5000, 255)])
    socket.send(garbage, port, "127.0.0.1");
  assert.equal((await udp(encode(query("web.test")))).answers?.length, 1);
});

test("an answer too long for a datagram says so, and comes whole over TCP", async (t) => {
  const { port, query, udp } = await start(t);
  const cut = await udp(encode(query("many.test")));
  assert.equal(((cut.flags ?? 0) >> 9) & 1, 1);
  assert.deepEqual(cut.answers, []);

  const socket = connect(port, "127.0.0.1");
  t.after(() => socket.destroy());
  const bytes = streamEncode(query("many.test"));
  socket.write(bytes.subarray(0, 5)); // in two pieces, as networks may cut it
  socket.write(bytes.subarray(5));
  let received = Buffer.alloc(0);
  for await (const chunk of socket) {
    received = Buffer.concat([received, chunk]);
    if (received.length >= 2 && received.length >= received.readUInt16BE(0) + 2) break;
  }
  assert.equal(streamDecode(received).answers?.length, 200);
});
