import ipaddr from "ipaddr.js";
import { ipVersion } from "../platform/ip-version.ts";
import type { GatewayServer } from "./istio/gateway.ts";
import { declaredProtocol, isDeclaredHttp } from "./port-protocol.ts";

/**
 * What comes in by a server of a Gateway: requests, TLS whose server name says whose it is, or bytes that nothing tells
 * apart. `https` is TLS that ends here with requests inside, `tls` any other.
 */
export type ServerKind = "http" | "https" | "tls" | "tcp";

export function serverKind({ port, tls }: Pick<GatewayServer, "port" | "tls">): ServerKind {
  const protocol = declaredProtocol({ appProtocol: port.protocol }) ?? "tcp";
  if (isDeclaredHttp(protocol)) return "http";
  if (protocol === "tcp") return "tcp";
  const passes = [undefined, "PASSTHROUGH", "AUTO_PASSTHROUGH"].includes(tls?.mode);
  return port.protocol.toUpperCase() === "HTTPS" && !passes ? "https" : "tls";
}

/** TLS is told apart by its server name, requests by their host, and other bytes by nothing. */
export function canShare(first: ServerKind, other: ServerKind): boolean {
  const family = (kind: ServerKind) => (kind === "https" ? "tls" : kind);
  return family(first) === family(other) && first !== "tcp";
}

/** In one form however it is written, since Envoy has one listener for one address; `""` is every address. */
export function boundAddress({ bind = "" }: Pick<GatewayServer, "bind">): string {
  if (ipVersion(bind) === null) return "";
  const ip = ipaddr.parse(bind).toString();
  return ip === "0.0.0.0" || ip === "::" ? "" : ip;
}

/** Whom a server is for: hosts of the VirtualServices of one namespace, or of all (`*`). */
export interface ServerHost {
  readonly namespace: string;
  readonly host: string;
}

const SERVER_HOST =
  /^(?:([.*]|[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)\/)?(\*|(?:\*\.)?[a-zA-Z0-9_](?:[-a-zA-Z0-9_.]*[a-zA-Z0-9_])?)$/;

/** `own` is the Gateway's namespace, for which the dot stands. Null where the text has another form. */
export function parseServerHost(text: string, own: string): ServerHost | null {
  const [, namespace = "*", host = ""] = SERVER_HOST.exec(text) ?? [];
  return host === "" ? null : { namespace: namespace === "." ? own : namespace, host: host.toLowerCase() };
}

/**
 * A Gateway as a VirtualService in `namespace` names it, as `NAMESPACE/NAME`; `mesh` stays what it is, and a dot is the
 * namespace itself. Istio's older form, a service-like name, is understood too.
 */
export function resolveGatewayName(text: string, namespace: string): string {
  if (text.startsWith("./")) return `${namespace}/${text.slice(2)}`;
  if (text === MESH || text.includes("/")) return text;
  const [name = "", of] = text.split(".");
  return `${of ?? namespace}/${name}`;
}

/** What VirtualServices call the sidecars, beside the names of Gateways. */
export const MESH = "mesh";

/**
 * Whether routes for these gateways, as a VirtualService in `namespace` names them, hold at one of them: `mesh`, or a
 * Gateway as `NAMESPACE/NAME`. Where none is named it is the mesh.
 */
export function holdsAt(gateways: readonly string[] = [], at: string, namespace: string): boolean {
  if (gateways.length === 0) return at === MESH;
  return gateways.some((text) => resolveGatewayName(text, namespace) === at);
}
