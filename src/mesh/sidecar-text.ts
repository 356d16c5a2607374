import { parseSocket } from "./socket-path.ts";

/** The texts inside of a Sidecar that have a form of their own. */

/** Services by namespace and host, which may be `*` or begin with `*.`. */
export interface EgressHost {
  /** `*` is every namespace. */
  readonly namespace: string;
  readonly host: string;
}

const EGRESS_HOST =
  /^([.*~]|[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)\/(\*|(?:\*\.)?[a-zA-Z0-9_](?:[-a-zA-Z0-9_.]*[a-zA-Z0-9_])?)$/;

/** `./*`, `prod/api.example.com`; `own` stands for the dot. Null where it has another form. */
export function parseEgressHost(text: string, own: string): EgressHost | null {
  const [, namespace = "", host = ""] = EGRESS_HOST.exec(text) ?? [];
  return namespace === "" ? null : { namespace: namespace === "." ? own : namespace, host: host.toLowerCase() };
}

export type DefaultEndpoint =
  | { readonly kind: "loopback" | "instance"; readonly port: number }
  | { readonly kind: "socket"; readonly path: string };

/** Where the application listens: on loopback, on the pod's own address, or on a socket. Null where it has another form. */
export function parseDefaultEndpoint(text: string): DefaultEndpoint | null {
  const path = parseSocket(text);
  if (path !== null) return { kind: "socket", path };
  const [, ip = "", digits = ""] = /^(127\.0\.0\.1|0\.0\.0\.0|\[::1?\]):([0-9]{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (ip === "" || port < 1 || port > 65535) return null;
  return { kind: ip === "127.0.0.1" || ip === "[::1]" ? "loopback" : "instance", port };
}
