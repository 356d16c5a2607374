import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { type TestContext, test } from "node:test";
import { type ChannelCredentials, Client, credentials, type ServerDuplexStream } from "@grpc/grpc-js";
import { grpcCertificate } from "../../test/support/grpc-certificate.ts";
import { until } from "../../test/support/until.ts";
import { streamOfBytes } from "./grpc-methods.ts";
import { createGrpcServer } from "./grpc-server.ts";
import { createLog } from "./log.ts";
import { outgoingMessage } from "./outgoing-message.ts";

const PATH = "/test.Test/Send";
const { requestSerialize, responseDeserialize } = streamOfBytes(PATH);
const MB = 1024 * 1024;

/** Sends `messages` as soon as a stream opens, each when the one before is written, and counts what it freed. */
async function sending(t: TestContext, messages: readonly Buffer[]) {
  const { certificate, rootPem } = await grpcCertificate(t, ["localhost"]);
  const clientTrust = { rootsPem: rootPem, revocationListsPem: "" };
  const server = createGrpcServer({ certificate, clientTrust, log: createLog("silent") });
  t.after(() => server.stop(0));
  const freed: number[] = [];
  const send = (call: ServerDuplexStream<Buffer, Buffer>): void => {
    const writeNext = (index: number): void => {
      const bytes = messages[index];
      if (bytes === undefined) return void call.end();
      const message = outgoingMessage(bytes);
      call.write(message.bytes, () => {
        freed.push(message.free());
        writeNext(index + 1);
      });
    };
    call.on("data", () => writeNext(0));
  };
  for (const kind of ["tls", "plaintext"] as const) server.addService(kind, { send: streamOfBytes(PATH) }, { send });
  const [tls, plaintext] = [await server.listen("127.0.0.1:0"), await server.listenPlaintext("127.0.0.1:0")];
  return {
    freed,
    overTls: () => received(t, tls, credentials.createSsl(Buffer.from(rootPem))),
    inPlaintext: () => received(t, plaintext, credentials.createInsecure()),
  };
}

/** The digests of what comes. */
async function received(t: TestContext, port: number, channel: ChannelCredentials): Promise<string[]> {
  const client = new Client(`127.0.0.1:${port}`, channel, {
    "grpc.ssl_target_name_override": "localhost",
    "grpc.use_local_subchannel_pool": 1,
    "grpc.max_receive_message_length": -1,
  });
  t.after(() => client.close());
  const call = client.makeBidiStreamRequest<Buffer, Buffer>(PATH, requestSerialize, responseDeserialize);
  const digests: string[] = [];
  let ended: Error | "in order" | undefined;
  call.on("data", (bytes: Buffer) => {
    digests.push(digestOf(bytes));
  });
  call.on("error", (error) => {
    ended = error;
  });
  call.on("end", () => {
    ended ??= "in order";
  });
  call.write(Buffer.alloc(1));
  const end = await until("the stream's end", () => ended);
  if (end instanceof Error) throw end;
  return digests;
}

const digestOf = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

/** Each byte says where it is, so that bytes of another message, or of another place, are seen. */
function patterned(length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at++) bytes[at] = (at * 31 + (at >>> 8) + seed * 97) & 0xff;
  return bytes;
}

test("a large message's copy is freed as soon as it is written, over TLS and without", async (t) => {
  const messages = [0, 1, 2, 3, 4, 5].map((seed) => patterned(MB + seed, seed));
  const { freed, overTls, inPlaintext } = await sending(t, messages);

  const digests = await Promise.all([overTls(), inPlaintext(), overTls(), inPlaintext()]);

  assert.deepEqual(
    digests,
    digests.map(() => messages.map(digestOf)),
  );
  const each = messages.flatMap(({ length }) => [0, 1, 2, 3].map(() => length + 5));
  assert.deepEqual(freed.toSorted(), each);
});

test("of a small message, whose copy shares its memory with others, nothing is freed", async (t) => {
  const messages = Array.from({ length: 50 }, (_, seed) => patterned(seed * 20, seed));
  const { freed, inPlaintext } = await sending(t, messages);

  assert.deepEqual(await inPlaintext(), messages.map(digestOf));
  assert.deepEqual(
    freed,
    messages.map(() => 0),
  );
});

test("a message can be sent again when the copy before it is freed", async (t) => {
  const bytes = patterned(MB, 9);
  const { freed, inPlaintext } = await sending(t, [bytes, bytes, bytes]);

  assert.deepEqual(await inPlaintext(), [bytes, bytes, bytes].map(digestOf));
  assert.deepEqual(freed, [MB + 5, MB + 5, MB + 5]);
  assert.equal(digestOf(bytes), digestOf(patterned(MB, 9)));
});
