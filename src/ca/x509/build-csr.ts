import { type KeyObject, sign } from "node:crypto";
import { bitString, der, explicit, integer, objectIdentifier, sequence, TAG } from "../../platform/der.ts";
import { nameOf } from "./certificate.ts";
import { subjectAlternativeNames } from "./extensions.ts";

export interface CsrContent {
  /** DER of the SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array;
  /** The key itself, on P-256. */
  readonly privateKey: KeyObject;
  /** DER of each GeneralName to ask for. */
  readonly names: readonly Buffer[];
}

const VERSION_1 = integer(Buffer.from([0]));
const ECDSA_WITH_SHA256 = sequence(objectIdentifier("1.2.840.10045.4.3.2"));
const EXTENSION_REQUEST = objectIdentifier("1.2.840.113549.1.9.14");

/** The DER of a certification request (RFC 2986) with an empty subject: a key asks for alternative names. */
export function buildCsr({ publicKey, privateKey, names }: CsrContent): Buffer {
  const extensions = sequence(subjectAlternativeNames(names, { critical: true }));
  const attributes = explicit(0, sequence(EXTENSION_REQUEST, der(TAG.set, extensions)));
  const info = sequence(VERSION_1, nameOf({}), publicKey, attributes);
  return sequence(info, ECDSA_WITH_SHA256, bitString(sign("sha256", info, privateKey)));
}
