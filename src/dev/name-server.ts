import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";
import { AUTHORITATIVE_ANSWER, decode, encode, type Packet, RECURSION_AVAILABLE, streamEncode } from "dns-packet";
import type { NameTable } from "./name-answers.ts";

export interface NameServer {
  readonly port: number;
  close(): void;
}

const NOERROR = 0;
const NXDOMAIN = 3;
const NOTIMP = 4;
/** Longer answers do not fit a datagram everywhere: the client asks again over TCP. */
const MAX_DATAGRAM = 1232;
const TRUNCATED = 1 << 9;
/** A question fits in far less; more is not DNS. */
const MAX_QUERY = 4096;
const IDLE_MS = 10_000;

/** DNS over UDP and TCP on one address. Every question gets an answer at once: nothing is forwarded anywhere. */
export async function createNameServer(address: string, port: number, table: () => NameTable): Promise<NameServer> {
  const tcp = createServer((socket) => {
    let pending = Buffer.alloc(0);
    socket.setTimeout(IDLE_MS, () => socket.destroy());
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk: Buffer) => {
      pending = Buffer.concat([pending, chunk]);
      while (pending.length >= 2 && pending.length >= 2 + pending.readUInt16BE(0)) {
        const length = pending.readUInt16BE(0);
        const reply = answerQuery(pending.subarray(2, 2 + length), table());
        pending = pending.subarray(2 + length);
        if (reply === undefined) return void socket.destroy();
        socket.write(streamEncode(reply));
      }
      if (pending.length > MAX_QUERY) socket.destroy();
    });
  });
  tcp.listen(port, address);
  await once(tcp, "listening");
  const bound = tcp.address();
  const actualPort = bound !== null && typeof bound === "object" ? bound.port : port;

  const udp = createSocket("udp4");
  udp.on("message", (message, from) => {
    const reply = answerQuery(message, table());
    if (reply === undefined) return;
    const whole = encode(reply);
    const bytes =
      whole.length <= MAX_DATAGRAM ? whole : encode({ ...reply, answers: [], flags: (reply.flags ?? 0) | TRUNCATED });
    udp.send(bytes, from.port, from.address, () => undefined);
  });
  udp.bind(actualPort, address);
  await once(udp, "listening");
  udp.on("error", () => undefined); // one unsendable answer must not end the server

  return {
    port: actualPort,
    close() {
      udp.close();
      tcp.close();
    },
  };
}

/** The reply to a query, or undefined for bytes that are none. */
export function answerQuery(message: Buffer, table: NameTable): Packet | undefined {
  const query = parseQuery(message);
  const question = query?.questions?.[0];
  if (query === undefined || query.type !== "query" || question === undefined) return undefined;
  const answers = table.answer(question);
  const rcode =
    query.opcode !== undefined && query.opcode !== "QUERY" ? NOTIMP : answers === undefined ? NXDOMAIN : NOERROR;
  return {
    type: "response",
    id: query.id ?? 0,
    flags: AUTHORITATIVE_ANSWER | RECURSION_AVAILABLE | rcode,
    questions: [question],
    answers: rcode === NOERROR ? [...(answers ?? [])] : [],
  };
}

function parseQuery(message: Buffer): (Packet & { opcode?: string }) | undefined {
  if (message.length > MAX_QUERY) return undefined;
  try {
    return decode(message);
  } catch {
    return undefined;
  }
}
