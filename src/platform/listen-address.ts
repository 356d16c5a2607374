import { isIPv6 } from "node:net";
import { TrysailError } from "./errors.ts";

/** Where to listen; without a host, on every address of the machine. */
export interface ListenAddress {
  readonly host?: string;
  readonly port: number;
}

/** Reads `:15012`, `127.0.0.1:15012`, `localhost:0` or `[::1]:15012`; throws `invalid-argument`. */
export function parseListenAddress(text: string): ListenAddress {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  const [, bracketed, plain, digits] = match ?? [];
  const port = Number(digits);
  if (!match || port > 65_535 || (bracketed !== undefined && !isIPv6(bracketed))) {
    throw new TrysailError("invalid-argument", `not an address to listen on: "${text}" (HOST:PORT or :PORT)`);
  }
  const host = bracketed ?? plain;
  return host ? { host, port } : { port };
}

/** `HOST:PORT` as it is typed, with brackets around an IPv6 address. */
export function formatListenAddress({ host, port }: ListenAddress): string {
  return `${host && isIPv6(host) ? `[${host}]` : (host ?? "")}:${port}`;
}
