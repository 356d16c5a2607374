import { ownValue } from "./own-value.ts";

/**
 * How Envoy must read the bytes of a port. `tls` is TLS of the application's own, told by its server name alone; what
 * says nothing is `auto`: told at each connection by its first bytes. `grpc-web` is what gRPC servers are asked from
 * browsers.
 */
export type Protocol = "http" | "http2" | "grpc-web" | "tcp" | "tls" | "auto";

/** What a port may declare: https://istio.io/latest/docs/ops/configuration/traffic-management/protocol-selection/ */
const PROTOCOLS: Readonly<Record<string, Protocol>> = {
  http: "http",
  http2: "http2",
  grpc: "http2",
  "grpc-web": "grpc-web",
  "kubernetes.io/h2c": "http2",
  "kubernetes.io/ws": "http",
  "kubernetes.io/wss": "tls",
  https: "tls",
  mongo: "tcp",
  mysql: "tcp",
  postgres: "tcp",
  redis: "tcp",
  tcp: "tcp",
  tls: "tls",
};

/** Of which stock Envoy knows the protocol; to the mesh itself their ports are TCP like others. */
export type Database = "mongo" | "redis";

/** Of what usually listens there the server speaks first, and would wait forever for the caller's first bytes. */
const SERVER_FIRST_PORTS: ReadonlySet<number> = new Set([25, 53, 3306, 27017]);

/** Names of a port's protocol, each of which may be absent: what is declared outright, and the port's name. */
export interface PortDeclaration {
  readonly number: number;
  readonly appProtocol?: string | undefined;
  readonly name?: string | undefined;
}

export function portProtocol(port: PortDeclaration): Protocol {
  return declaredProtocol(port) ?? (SERVER_FIRST_PORTS.has(port.number) ? "tcp" : "auto");
}

/** `appProtocol` first, else the port's name up to its first dash; undefined where neither says what the mesh knows. */
export function declaredProtocol(port: Omit<PortDeclaration, "number">): Protocol | undefined {
  const { whole, first } = declaration(port);
  if (whole.startsWith("grpc-web")) return PROTOCOLS["grpc-web"];
  return ownValue(PROTOCOLS, whole) ?? ownValue(PROTOCOLS, first);
}

/** The database that a port declares, as it declares a protocol; nothing where Envoy has no filter for it. */
export function declaredDatabase(port: Omit<PortDeclaration, "number">): { readonly database?: Database } {
  const { first } = declaration(port);
  return first === "mongo" || first === "redis" ? { database: first } : {};
}

function declaration({ name, appProtocol }: Omit<PortDeclaration, "number">) {
  const whole = (appProtocol ?? name ?? "").toLowerCase();
  const [first = ""] = whole.split("-");
  return { whole, first };
}

/** Whether all that is sent to such a port is requests. */
export function isDeclaredHttp(protocol: Protocol): boolean {
  return protocol === "http" || protocol === "http2" || protocol === "grpc-web";
}

/** Whether requests can be told apart on such a port. */
export function speaksHttp(protocol: Protocol): boolean {
  return isDeclaredHttp(protocol) || protocol === "auto";
}
