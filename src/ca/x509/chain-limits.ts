import type { X509Certificate } from "node:crypto";
import { readOne, TAG } from "../../platform/der.ts";
import { messageOf } from "../../platform/errors.ts";
import { extensionValueOf } from "./certificate.ts";
import { firstNameOutside, type IssuedNames } from "./name-constraints.ts";
import { subjectText } from "./pem-certificates.ts";

const TLS_PURPOSES = ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"];
const BASIC_CONSTRAINTS = "2.5.29.19";
const NAME_CONSTRAINTS = "2.5.29.30";

/**
 * Why peers would refuse what is signed below this chain of authorities, though every signature in it holds; undefined
 * where they would not. The chain begins with what signs and ends with its root: verifiers ask the root as well.
 */
export function refusalByLimits(chain: readonly X509Certificate[], names: IssuedNames): string | undefined {
  let below = 0;
  for (const authority of chain) {
    const subject = subjectText(authority);
    try {
      const limit = limitOf(authority, below, names);
      if (limit !== undefined) return `leads by ${subject}, which ${limit}`;
    } catch (error) {
      return `leads by ${subject}, which cannot be read (${messageOf(error)})`;
    }
    // One that names itself as its issuer does not count (RFC 5280, 6.1.4).
    if (authority.subject !== authority.issuer) below++;
  }
  return undefined;
}

function limitOf(authority: X509Certificate, below: number, names: IssuedNames): string | undefined {
  // Node calls the extended key usage `keyUsage`.
  const { keyUsage: purposes } = authority;
  if (purposes !== undefined && !TLS_PURPOSES.every((purpose) => purposes.includes(purpose))) {
    return "may not vouch for TLS servers and clients (extendedKeyUsage)";
  }
  if (below > pathLengthOf(authority)) return `allows no chain with ${below} below it (pathlen)`;
  const constraints = extensionValueOf(authority, NAME_CONSTRAINTS);
  const outside = constraints === undefined ? undefined : firstNameOutside(constraints, names);
  return outside === undefined ? undefined : `may not vouch for ${outside} (nameConstraints)`;
}

/** How many authorities may stand below one (RFC 5280, 4.2.1.9); infinite where it does not say. */
function pathLengthOf(authority: X509Certificate): number {
  const constraints = extensionValueOf(authority, BASIC_CONSTRAINTS);
  const fields = constraints === undefined ? [] : readOne(constraints, TAG.sequence);
  const length = fields.find(({ tag }) => tag === TAG.integer);
  return length === undefined ? Number.POSITIVE_INFINITY : Number.parseInt(length.content.toString("hex"), 16);
}
