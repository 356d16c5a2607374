import { isIP } from "node:net";
import { TrysailError } from "../platform/errors.ts";

/**
 * The comma-separated lists in which users say what to intercept, in annotations and on the command line. `source`
 * names the annotation or flag in the error, which is an `invalid-argument`.
 */

export function parsePorts(text: string, source: string): readonly number[] {
  return items(text).map((item) => parsePort(item, source));
}

/** Like `parsePorts`, and `*` for every port. */
export function parsePortsOrAll(text: string, source: string): "*" | readonly number[] {
  return text.trim() === "*" ? "*" : parsePorts(text, source);
}

export function parseRanges(text: string, source: string): readonly string[] {
  return items(text).map((item) => parseRange(item, source));
}

/** Like `parseRanges`, and `*` for every address. */
export function parseRangesOrAll(text: string, source: string): "*" | readonly string[] {
  return text.trim() === "*" ? "*" : parseRanges(text, source);
}

/** An empty list is written as an empty text; an empty item in a longer list is a slip worth reporting. */
function items(text: string): string[] {
  return text.trim() === "" ? [] : text.split(",").map((item) => item.trim());
}

function parsePort(item: string, source: string): number {
  const port = /^[0-9]{1,5}$/.test(item) ? Number(item) : 0;
  if (port < 1 || port > 65535) {
    throw new TrysailError("invalid-argument", `${source}: ${quote(item)} is not a port between 1 and 65535`);
  }
  return port;
}

function parseRange(item: string, source: string): string {
  const [, address = "", prefix = ""] = /^([^/]*)\/([0-9]{1,3})$/.exec(item) ?? [];
  const family = isIP(address);
  // A zone (`fe80::1%eth0`) belongs to one interface and to no range.
  if (family === 0 || address.includes("%") || Number(prefix) > (family === 4 ? 32 : 128)) {
    throw new TrysailError("invalid-argument", `${source}: ${quote(item)} is not a CIDR range such as 10.0.0.0/8`);
  }
  return item;
}

function quote(item: string): string {
  return JSON.stringify(item.length > 60 ? `${item.slice(0, 60)}…` : item);
}
