import { lookup as resolveName } from "node:dns";
import { type RequestOptions, request as requestHttps } from "node:https";
import { isIP, type LookupFunction } from "node:net";
import ipaddr from "ipaddr.js";
import { messageOf, TrysailError } from "./errors.ts";

export interface OutboundFetchOptions {
  /** PEM of the roots that servers are checked against, in place of the system's. */
  readonly rootsPem?: string | undefined;
  readonly timeoutMs?: number;
  /** Addresses that may be dialled; `isRoutable` unless given. */
  mayDial?(address: string): boolean;
}

/** Gets a document over HTTPS; rejects with `unavailable`. Follows no redirect. */
export type OutboundFetch = (url: string) => Promise<string>;

const TIMEOUT_MS = 5000;
const LARGEST_BYTES = 256 * 1024;
/** An API server gives its keys to nobody who does not name their own type (RFC 7517, 8.5.2). */
const ACCEPTED = "application/json, application/jwk-set+json";

/**
 * Fetches what a user's configuration names, from anywhere but the places that only the machine itself should reach:
 * an address is judged at dial, behind the resolution of its name, so that no name can stand for another address a
 * moment later.
 */
export function createOutboundFetch(options: OutboundFetchOptions = {}): OutboundFetch {
  const mayDial = options.mayDial ?? isRoutable;
  const lookup: LookupFunction = (host, hints, callback) => {
    resolveName(host, { ...hints, all: true }, (error, addresses) => {
      if (error !== null) return callback(error, "", 0);
      const allowed = addresses.filter(({ address }) => mayDial(address));
      const [first] = allowed;
      if (first === undefined) return callback(new Error(`${host} has no address that may be dialled`), "", 0);
      if (hints.all === true) callback(null, allowed);
      else callback(null, first.address, first.family);
    });
  };

  return async (url) => {
    try {
      const parsed = new URL(url);
      if (parsed.protocol !== "https:") throw new Error("only https is fetched");
      const host = parsed.hostname.replace(/^\[|\]$/g, "");
      // Node looks no IP address up.
      if (isIP(host) !== 0 && !mayDial(host)) throw new Error(`${host} may not be dialled`);
      return await get(parsed, { lookup, ...(options.rootsPem !== undefined && { ca: options.rootsPem }) }, options);
    } catch (error) {
      throw new TrysailError("unavailable", "a document could not be fetched", {
        cause: new Error(`${url}: ${messageOf(error)}`),
      });
    }
  };
}

/** Not loopback, link-local (where clouds serve their metadata), multicast or unspecified, in any way of writing it. */
function isRoutable(address: string): boolean {
  const ranges = ["unicast", "private", "uniqueLocal", "carrierGradeNat"];
  // AWS has its metadata on a unique-local address too.
  return ipaddr.isValid(address) && ranges.includes(ipaddr.process(address).range()) && address !== "fd00:ec2::254";
}

function get(url: URL, request: RequestOptions, options: OutboundFetchOptions): Promise<string> {
  const { timeoutMs = TIMEOUT_MS } = options;
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(timeoutMs);
    const call = requestHttps(url, { ...request, agent: false, signal, headers: { accept: ACCEPTED } });
    call.on("error", reject);
    // Node tells of no response and of no error behind a 101, by which a server could have itself waited for without end.
    call.on("upgrade", (response, socket) => {
      socket.destroy();
      reject(new Error(`answered ${response.statusCode}`));
    });
    call.on("response", (response) => {
      if (response.statusCode !== 200) {
        call.destroy(new Error(`answered ${response.statusCode}`));
        return;
      }
      const chunks: Buffer[] = [];
      let size = 0;
      response.on("data", (chunk: Buffer) => {
        size += chunk.length;
        if (size > LARGEST_BYTES) call.destroy(new Error(`more than ${LARGEST_BYTES} bytes`));
        else chunks.push(chunk);
      });
      response.on("error", reject);
      response.on("end", () => resolve(Buffer.concat(chunks).toString("utf8")));
    });
    call.end();
  });
}
