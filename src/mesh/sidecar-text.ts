import { parseSocket } from "./socket-path.ts";

/** The texts inside of a Sidecar that have a form of their own. */

/** Services by namespace and host, which may be `*` or begin with `*.`. */
export interface EgressHost {
  /** `*` is every namespace. */
  readonly namespace: string;
  readonly host: string;
  /** Whether they are left out of what others of the listener name. */
  readonly isLeftOut: boolean;
}

const EGRESS_HOST =
  /^(~?)([.*]|[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?|(?<=~))\/(\*|(?:\*\.)?[a-zA-Z0-9_](?:[-a-zA-Z0-9_.]*[a-zA-Z0-9_])?)$/;

/**
 * `./*`, `prod/api.example.com`; `own` stands for the dot. `~prod/*` leaves out what is there, and `~` alone stands for `~*`.
 * Null where it has another form.
 */
export function parseEgressHost(text: string, own: string): EgressHost | null {
  const [, leftOut = "", namespace = "", host = ""] = EGRESS_HOST.exec(text) ?? [];
  if (host === "") return null;
  const of = namespace === "." ? own : namespace === "" ? "*" : namespace;
  return { namespace: of, host: host.toLowerCase(), isLeftOut: leftOut !== "" };
}

export type DefaultEndpoint =
  | { readonly kind: "loopback" | "instance"; readonly port: number }
  | { readonly kind: "socket"; readonly path: string }
  | { readonly kind: "dialled" };

/**
 * Where the application listens: on loopback, on the pod's own address, or on a socket. A port alone says as little as
 * nothing: the application is reached where the caller dialled, as in Istio. Null where it has another form.
 */
export function parseDefaultEndpoint(text: string): DefaultEndpoint | null {
  const path = parseSocket(text);
  if (path !== null) return { kind: "socket", path };
  const [, ip = "", digits = ""] = /^(127\.0\.0\.1|0\.0\.0\.0|\[::1?\]|):([0-9]{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (port < 1 || port > 65535) return null;
  if (ip === "") return { kind: "dialled" };
  return { kind: ip === "127.0.0.1" || ip === "[::1]" ? "loopback" : "instance", port };
}
