import type { X509Certificate } from "node:crypto";
import { messageOf } from "../../platform/errors.ts";
import { certificatesOf, fingerprintsOf, subjectText } from "../x509/pem-certificates.ts";

/** What the mesh's peers were told to trust, where that is kept apart from the authority and may outlive it. */
export interface PublishedRoots {
  /** Where that is looked for, for errors and the log. */
  readonly name: string;
  read(): Promise<Publication>;
  /** Called each time that the start has another reason to wait for the authority. */
  onKeyMissing(reason: string): void;
}

export interface Publication {
  /** Where it was found. */
  readonly name: string;
  /** Empty where nobody was told anything. */
  readonly rootsPem: string;
}

export const NOTHING_PUBLISHED: PublishedRoots = {
  name: "",
  read: async () => ({ name: "", rootsPem: "" }),
  onKeyMissing() {},
};

/**
 * Why a mesh whose authority is not in its store may not begin with one that has these roots; null where it may. Peers that
 * trust a root of which nobody has the key would refuse every certificate, so whoever starts waits for that key.
 */
export async function missingKey(
  { name, read }: PublishedRoots,
  rootsPem: string,
  nowMs: number,
): Promise<string | null> {
  let found: Publication;
  let forsaken: readonly X509Certificate[];
  try {
    found = await read();
    const kept = new Set(fingerprintsOf(rootsPem));
    // No certificate under a root that is over can be valid.
    forsaken = certificatesOf(found.rootsPem).filter(
      (root) => root.validToDate.getTime() > nowMs && !kept.has(root.fingerprint256),
    );
  } catch (error) {
    return `it cannot be told what ${name} says (${messageOf(error)})`;
  }
  if (forsaken.length === 0) return null;
  return `${found.name} has the mesh trust ${forsaken.map(subjectText).join(" and ")}`;
}
