import { once } from "node:events";
import { createServer, type Server as NetServer, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import { Server, ServerCredentials, type ServiceDefinition, type UntypedServiceImplementation } from "@grpc/grpc-js";
import { clientTrustOptions, followClients } from "./client-trust.ts";
import { type ConnectionGuardOptions, DEFAULT_CONNECTION_LIMITS, guardConnections } from "./connection-guard.ts";
import { messageOf, TrysailError } from "./errors.ts";
import { boundHalfSent } from "./half-sent.ts";
import { formatListenAddress, type ListenAddress, parseListenAddress } from "./listen-address.ts";
import type { Logger } from "./log.ts";
import { requestDeadline } from "./request-deadline.ts";
import type { TrustBundle } from "./trust-bundle.ts";

/** What a certificate is replaced with: PEM texts, the chain leaf first. */
export interface ServingCertificate {
  readonly certPem: string;
  /** TLS keeps it: as a text it would show in a dump of the memory. */
  readonly keyPem: string | Buffer;
}

export interface GrpcServerOptions {
  readonly certificate: ServingCertificate;
  /** By what client certificates are judged. A client may present none, or a bad one: see `getAuthContext`. */
  readonly clientTrust: TrustBundle;
  readonly log: Logger;
  /** Largest message that a client may send; 4 MiB unless given. */
  readonly maxReceiveBytes?: number;
  /** What callers may take of each listener. */
  readonly connections?: ConnectionGuardOptions;
  /** How long a unary call's request may take to arrive, 10 s unless given: behind it the connection is closed. */
  readonly requestTimeoutMs?: number;
  /** Silence after which a connection is probed, and how long it may take to answer. */
  readonly keepalive?: { readonly timeMs: number; readonly timeoutMs: number };
  /** Connections are asked to move on after this time, give or take a tenth. Never unless given. */
  readonly maxConnectionAge?: { readonly ageMs: number; readonly graceMs: number };
}

/** A call, as far as it tells on which connection it came. */
export interface CallOfPeer {
  getPeer(): string;
}

/** Which listener a call came in by. */
export type ListenerKind = "tls" | "plaintext";

export interface GrpcServer {
  /** The same service may have one implementation on each kind of listener. To be called before `listen`. */
  addService(kind: ListenerKind, service: ServiceDefinition, implementation: UntypedServiceImplementation): void;
  /** Listens with TLS, answering the port; rejects with a TrysailError that names the address. */
  listen(address: string): Promise<number>;
  /** The same without TLS, and so without anyone's identity. */
  listenPlaintext(address: string): Promise<number>;
  /** Whose call it is has been proven: its connection is no stranger's any more. One that stays so for long is closed. */
  callerKnown(call: CallOfPeer): void;
  /** New connections get this certificate; those that exist keep theirs. */
  setCertificate(certificate: ServingCertificate): void;
  /** New connections are judged by this, and those that it may not allow end. */
  setClientTrust(trust: TrustBundle): void;
  /** Lets calls that are running finish for `graceMs`, then cuts them off. */
  stop(graceMs: number): Promise<void>;
}

const HANDSHAKE_TIMEOUT_MS = 10_000;
/** Several times what a proxy or a client of the CA has at one time. */
const MAX_STREAMS_PER_CONNECTION = 32;
const REQUEST_TIMEOUT_MS = 10_000;

/**
 * A gRPC server whose sockets are its own: grpc-js has no public way to ask for client certificates without
 * requiring them, nor to replace a certificate, while Node's TLS server has both, and grpc-js takes connections that
 * were accepted elsewhere. The two kinds of listener are two grpc-js servers, so that a call cannot be mistaken for
 * one of the other kind. Headers are capped by Node's HTTP/2 defaults (64 KiB, 128 pairs).
 */
export function createGrpcServer(options: GrpcServerOptions): GrpcServer {
  const sockets = new Set<Socket>();
  // grpc-js has a way to answer such a call, but none to be rid of it: the stream stays, with what arrived of it.
  const onTime = requestDeadline(options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS, (peer) => {
    const { remoteAddress, remotePort } = peer;
    options.log.warn({ peer: remoteAddress }, "a request did not arrive in time: its connection is closed");
    for (const socket of sockets) {
      if (socket.remotePort === remotePort && socket.remoteAddress === remoteAddress) socket.destroy();
    }
  });
  const serverOptions = { ...grpcOptions(options), interceptors: [onTime] };
  const grpc: Readonly<Record<ListenerKind, Server>> = {
    tls: new Server(serverOptions),
    plaintext: new Server(serverOptions),
  };
  const injectors = {
    tls: grpc.tls.createConnectionInjector(ServerCredentials.createInsecure()),
    plaintext: grpc.plaintext.createConnectionInjector(ServerCredentials.createInsecure()),
  };
  const listening: NetServer[] = [];

  let { certificate, clientTrust } = options;

  const tlsServer = createTlsServer({
    ...secureContext(certificate, clientTrust),
    ALPNProtocols: ["h2"],
    requestCert: true,
    // Judged per call: a workload that has no certificate yet comes with a token.
    rejectUnauthorized: false,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
  });
  const clients = followClients(tlsServer);
  const guard = guardConnections(tlsServer, options.connections ?? {});
  const secured = new Map<string, TLSSocket>();
  const unboundHalfSent = boundHalfSent({
    maxBytes: guard.limits.unreadBytes,
    connectionOf({ session }) {
      const socket = session?.socket;
      if (socket === undefined) return undefined;
      const found = secured.get(`${socket.remoteAddress}:${socket.remotePort}`);
      return found?.localPort === socket.localPort ? found : undefined;
    },
    close: (socket) => guard.refuse(socket, "unread"),
  });
  const plaintextServer = createServer({ noDelay: true });
  plaintextServer.maxConnections = options.connections?.limits?.total ?? DEFAULT_CONNECTION_LIMITS.total;
  tlsServer.on("secureConnection", (socket) => {
    const peer = `${socket.remoteAddress}:${socket.remotePort}`;
    secured.set(peer, socket);
    socket.once("close", () => secured.delete(peer));
    accept("tls", socket);
  });
  tlsServer.on("tlsClientError", (error, socket) => {
    options.log.debug({ peer: socket.remoteAddress, error: error.message }, "TLS handshake failed");
  });
  plaintextServer.on("connection", (socket) => accept("plaintext", socket));

  // The raw connections, so that those in the middle of a handshake are closed with the others.
  for (const server of [tlsServer, plaintextServer]) {
    server.on("connection", (socket: Socket) => {
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
    });
  }

  function accept(kind: ListenerKind, socket: Socket): void {
    socket.on("error", (error) => options.log.debug({ kind, error: error.message }, "connection failed"));
    socket.setNoDelay(true);
    injectors[kind].injectConnection(socket);
  }

  async function listen(server: NetServer, text: string): Promise<number> {
    const address = parseListenAddress(text);
    server.listen(address);
    try {
      await once(server, "listening");
    } catch (cause) {
      throw new TrysailError("unavailable", `cannot listen on ${listenFailure(address, cause)}`, { cause });
    }
    listening.push(server);
    const bound = server.address();
    return typeof bound === "object" && bound ? bound.port : address.port;
  }

  return {
    addService: (kind, service, implementation) => grpc[kind].addService(service, implementation),
    listen: (address) => listen(tlsServer, address),
    listenPlaintext: (address) => listen(plaintextServer, address),
    callerKnown(call) {
      const socket = secured.get(call.getPeer());
      if (socket !== undefined) guard.callerKnown(socket);
    },
    setCertificate(next) {
      tlsServer.setSecureContext(secureContext(next, clientTrust));
      certificate = next;
    },
    setClientTrust(next) {
      tlsServer.setSecureContext(secureContext(certificate, next));
      clients.trustChanged(clientTrust, next);
      clientTrust = next;
    },
    async stop(graceMs) {
      const closed = listening.map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
      // A connection closes by itself behind its last call. The callback says nothing of that: with Node 24, where
      // closing an HTTP/2 server closes its sessions, grpc-js takes them for gone before they are.
      for (const server of Object.values(grpc)) server.tryShutdown(() => {});
      const drained = [...sockets].map((socket) => new Promise((resolve) => socket.once("close", resolve)));
      await Promise.race([Promise.all(drained), afterMs(graceMs)]);
      for (const server of Object.values(grpc)) server.forceShutdown();
      for (const socket of sockets) socket.destroy();
      await Promise.all(closed);
      unboundHalfSent();
    },
  };
}

function secureContext({ certPem, keyPem }: ServingCertificate, trust: TrustBundle) {
  return { cert: certPem, key: keyPem, ...clientTrustOptions(trust), minVersion: "TLSv1.2" as const };
}

function grpcOptions(options: GrpcServerOptions): Record<string, number> {
  const keepalive = options.keepalive ?? { timeMs: 30_000, timeoutMs: 20_000 };
  return {
    "grpc.max_receive_message_length": options.maxReceiveBytes ?? 4 * 1024 * 1024,
    "grpc.max_send_message_length": -1,
    "grpc.max_concurrent_streams": MAX_STREAMS_PER_CONNECTION,
    "grpc.keepalive_time_ms": keepalive.timeMs,
    "grpc.keepalive_timeout_ms": keepalive.timeoutMs,
    "grpc.enable_channelz": 0,
    ...(options.maxConnectionAge && {
      "grpc.max_connection_age_ms": options.maxConnectionAge.ageMs,
      "grpc.max_connection_age_grace_ms": options.maxConnectionAge.graceMs,
    }),
  };
}

function listenFailure(address: ListenAddress, cause: unknown): string {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  return `${formatListenAddress(address)}: ${code === "EADDRINUSE" ? "the port is in use" : messageOf(cause)}`;
}

function afterMs(delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, delayMs).unref();
  });
}
