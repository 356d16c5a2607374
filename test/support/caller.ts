import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { type ClientRequest, type IncomingHttpHeaders, type RequestOptions, request } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { WorkloadIdentity } from "../../src/ca/identity.ts";
import type { TemporaryAuthority } from "./authority.ts";

/** A certificate with its key, and the root by which the other side is checked. PEM. */
export interface CallerIdentity {
  readonly chainPem: string;
  readonly keyPem: string;
  readonly rootPem: string;
}

const HOUR_MS = 3_600_000;

/** A certificate of a mesh's root, by default in trust domain `cluster.local`. */
export async function identityOf(
  { signer, rootCertificatePem }: TemporaryAuthority,
  identity: Pick<WorkloadIdentity, "namespace" | "serviceAccount"> & { readonly trustDomain?: string },
): Promise<CallerIdentity> {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const { chainPem } = await signer.sign({
    identity: { trustDomain: "cluster.local", ...identity },
    publicKey: publicKey.export({ type: "spki", format: "der" }),
    notAfter: Date.now() + HOUR_MS,
  });
  return {
    chainPem,
    keyPem: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    rootPem: rootCertificatePem,
  };
}

/** How a connection to an inbound listener is made. */
export interface InboundCall {
  /** Where the listener is. */
  readonly port: number;
  /** The workload's own port, which the caller would have dialled. */
  readonly destination: number;
  /** And the workload's own address; one of loopback. */
  readonly address?: string;
  /** The caller's address, on loopback. */
  readonly from?: string;
  /** Absent is plaintext; without a certificate, TLS that shows none. */
  readonly identity?: Partial<CallerIdentity>;
  /** What the caller offers in TLS; a sidecar's offer by default. */
  readonly alpn?: readonly string[];
  readonly serverName?: string;
}

export interface HttpCall {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** The caller's address, on loopback; for `get`. */
  readonly from?: string;
  /** Ends the request, which rejects then. */
  readonly signal?: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Names and values in turn, as they came. */
  readonly rawHeaders: readonly string[];
  readonly body: string;
}

/** One HTTP request to an inbound listener; null where the connection was refused or closed before an answer. */
export async function callHttp(inbound: InboundCall, call: HttpCall = {}): Promise<HttpAnswer | null> {
  const socket = await open(inbound);
  if (socket === null) return null;
  try {
    return await exchange(call, (options) => request({ ...options, createConnection: () => socket }));
  } catch {
    return null;
  } finally {
    socket.destroy();
  }
}

/** More than the five bytes that a TLS record begins with, or Envoy waits for more to tell what it is. */
const GREETING = "ahoy there";

/** Sends `ahoy there`, or nothing, and answers what comes back; null where the connection was refused or closed instead. */
export async function callTcp(inbound: InboundCall, words: string | null = GREETING): Promise<string | null> {
  const socket = await open(inbound);
  if (socket === null) return null;
  const answer = new Promise<string | null>((resolve) => {
    socket.once("data", (bytes) => resolve(bytes.toString()));
    socket.once("error", () => resolve(null));
    socket.once("close", () => resolve(null));
  });
  if (words !== null) socket.write(words);
  return answer.finally(() => socket.destroy());
}

/** The status that one call of gRPC without a message ends with; undefined where the connection was refused or closed instead. */
export async function callGrpc(inbound: InboundCall, path: string): Promise<string | undefined> {
  const socket = await open(inbound);
  if (socket === null) return undefined;
  const session = connectHttp2("http://app", { createConnection: () => socket });
  session.on("error", () => socket.destroy());
  const headers = { ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers" };
  const stream = session.request(headers, { endStream: true });
  const seen: (string | undefined)[] = [];
  // Of a refusal it comes with the headers.
  stream.on("response", (head) => seen.push(head["grpc-status"]?.toString()));
  stream.on("trailers", (tail) => seen.push(tail["grpc-status"]?.toString()));
  try {
    stream.resume();
    await once(stream, "close", { signal: AbortSignal.timeout(30_000) });
  } catch {
    return undefined;
  } finally {
    session.destroy();
  }
  return seen.find((status) => status !== undefined);
}

async function open(call: InboundCall): Promise<Socket | null> {
  const { port, destination, address = "127.0.0.1", from = "127.0.0.1", identity, ...tls } = call;
  const socket = connect({ port, host: "127.0.0.1", localAddress: from });
  // The PROXY protocol, version 1: https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt
  socket.write(`PROXY TCP4 ${from} ${address} 1234 ${destination}\r\n`);
  if (identity === undefined) return settled(socket, "connect");
  const secure = connectTls({
    socket,
    ...(identity.chainPem === undefined ? {} : { cert: identity.chainPem }),
    ...(identity.keyPem === undefined ? {} : { key: identity.keyPem }),
    ...(identity.rootPem === undefined ? {} : { ca: identity.rootPem }),
    ALPNProtocols: [...(tls.alpn ?? ["istio", "http/1.1"])],
    ...(tls.serverName === undefined ? {} : { servername: tls.serverName }),
    // A SPIFFE id stands in no host name; that the chain ends in the mesh's root is checked.
    checkServerIdentity: () => undefined,
  });
  return settled(secure, "secureConnect");
}

/** Errors behind the first event are seen as the connection's end. */
function settled(socket: Socket, event: "connect" | "secureConnect"): Promise<Socket | null> {
  return new Promise((resolve) => {
    socket.on("error", () => resolve(null));
    socket.once("close", () => resolve(null));
    socket.once(event, () => resolve(socket));
  });
}

/** One HTTP request to a port of 127.0.0.1. */
export function get(port: number, call: HttpCall): Promise<HttpAnswer> {
  const { from } = call;
  const local = from === undefined ? {} : { localAddress: from };
  return exchange(call, (options) => request({ ...options, ...local, host: "127.0.0.1", port }));
}

function exchange(
  { method = "GET", path = "/", headers = {}, signal }: HttpCall,
  send: (options: RequestOptions) => ClientRequest,
): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const sent = send({ method, path, headers: { ...headers }, ...(signal === undefined ? {} : { signal }) });
    sent.on("error", reject);
    sent.on("response", (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => {
        body += text;
      });
      response.on("error", reject);
      const { statusCode: status = 0, headers: answered, rawHeaders } = response;
      response.on("end", () => resolve({ status, headers: answered, rawHeaders, body }));
    });
    sent.end();
  });
}
