import { type DerElement, readDer, readOne, TAG, timeOf, VERSION_3 } from "./der.ts";

const CONSTRUCTED = 0b10_0000;

/**
 * Throws a RangeError for the DER of a certificate in a form that OpenSSL lets pass, and Node with it, and BoringSSL does not:
 * Envoy refuses a whole trust bundle for one such root. What it says, and by which algorithms, is not looked at.
 */
export function assertStrictForm(der: Buffer): void {
  for (const element of readDer(der)) assertStrict(element);
  const [toBeSigned] = readOne(der, TAG.sequence);
  const [version, , , , validity] = toBeSigned?.elements() ?? [];
  if (version?.is(VERSION_3) !== true) throw new RangeError("not a certificate of version 3");
  for (const time of validity?.elements() ?? []) timeOf(time);
}

/** Lengths in as few octets as hold them, and no SET with nothing in it, at any depth. */
function assertStrict(element: DerElement): void {
  if ((element.tag & CONSTRUCTED) === 0) return;
  const inside = element.elements();
  if (element.tag === TAG.set && inside.length === 0) throw new RangeError("a name with an empty part");
  inside.forEach(assertStrict);
}
