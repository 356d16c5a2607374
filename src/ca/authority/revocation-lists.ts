import { X509Certificate } from "node:crypto";
import { messageOf, TrysailError } from "../../platform/errors.ts";
import { certificatesOf, subjectText } from "../x509/pem-certificates.ts";
import { isListOf, maySignLists, parseRevocationLists, type RevocationList } from "../x509/revocation-list.ts";
import type { NamedBytes } from "./authority-material.ts";
import { type AuthorityState, trustBundleOf } from "./authority-state.ts";

const LARGEST_FILE_BYTES = 256 * 1024;

/** The lists of a file; see `assertCovers` for what else they must be. */
export interface NamedLists {
  /** Of the file, for errors. */
  readonly name: string;
  readonly lists: readonly RevocationList[];
}

/** Reads the lists of a file; throws `failed-precondition` naming it where they cannot be read, or do not hold now. */
export function readRevocationLists({ name, bytes }: NamedBytes, now: number): NamedLists {
  if ((bytes?.length ?? 0) > LARGEST_FILE_BYTES) throw broken(name, `is larger than ${LARGEST_FILE_BYTES / 1024} KB`);
  let lists: readonly RevocationList[];
  try {
    lists = parseRevocationLists(Buffer.from(bytes ?? []).toString("latin1"));
  } catch (error) {
    throw broken(name, `cannot be read (${messageOf(error)})`);
  }
  if (lists.length === 0) throw broken(name, "holds no revocation list in PEM");
  for (const { thisUpdate, nextUpdate } of lists) {
    if (thisUpdate > now) throw broken(name, `holds a list that begins at ${isoTime(thisUpdate)}`);
    if (nextUpdate !== null && nextUpdate <= now)
      throw broken(name, `holds a list that ended at ${isoTime(nextUpdate)}`);
  }
  return { name, lists };
}

/**
 * Throws `failed-precondition` unless there is a list of every authority. Envoy and OpenSSL, once they are given any
 * list, take a chain only where they have one of each authority in it: with one that is missing, every proxy would refuse
 * every other.
 */
export function assertCovers({ name, lists }: NamedLists, state: AuthorityState): void {
  for (const authority of authoritiesIn(state)) {
    const subject = subjectText(authority);
    if (!lists.some((list) => isListOf(list, authority))) {
      const which = `${subject} (serial ${authority.serialNumber})`;
      throw broken(name, `has no list of ${which}, and every authority of a chain needs one`);
    }
    if (!maySignLists(authority)) throw broken(name, `has a list of ${subject}, whose key usage does not allow any`);
  }
}

/** The time in which all of them hold, in milliseconds since the epoch; infinite where none of them ends. */
export function validityOfLists(lists: readonly RevocationList[]): { notBefore: number; notAfter: number } {
  return {
    notBefore: Math.max(...lists.map(({ thisUpdate }) => thisUpdate)),
    notAfter: Math.min(...lists.map(({ nextUpdate }) => nextUpdate ?? Number.POSITIVE_INFINITY)),
  };
}

/** Every authority of a chain that a peer may show: what signs, has signed or will, what is above it, and the roots. */
function authoritiesIn(state: AuthorityState): X509Certificate[] {
  const { active, prepared, old } = state;
  const slots = [active, ...(prepared === null ? [] : [prepared])];
  const pem = [...slots.flatMap((slot) => [slot.certificatePem, slot.intermediatesPem]), trustBundleOf(state)].join("");
  const all = [...certificatesOf(pem), ...old.map((slot) => new X509Certificate(slot.certificatePem))];
  return [...new Map(all.map((one) => [one.fingerprint256, one])).values()];
}

function isoTime(epochMs: number): string {
  return new Date(epochMs).toISOString();
}

function broken(name: string, problem: string): TrysailError {
  return new TrysailError("failed-precondition", `${name} ${problem}`);
}
