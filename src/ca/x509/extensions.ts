import { isIP } from "node:net";
import ipaddr from "ipaddr.js";
import { bitString, implicit, objectIdentifier, octetString, sequence, TRUE } from "./der.ts";

/** Encoded once: every leaf has them. */
const BASIC_CONSTRAINTS = objectIdentifier("2.5.29.19");
const KEY_USAGE = objectIdentifier("2.5.29.15");
const EXTENDED_KEY_USAGE = objectIdentifier("2.5.29.37");
const SUBJECT_KEY_IDENTIFIER = objectIdentifier("2.5.29.14");
const AUTHORITY_KEY_IDENTIFIER = objectIdentifier("2.5.29.35");
const SUBJECT_ALTERNATIVE_NAME = objectIdentifier("2.5.29.17");

/** Certificate extensions (RFC 5280, 4.2), each as DER ready for `CertificateContent.extensions`. */

export function basicConstraints(isAuthority: boolean): Buffer {
  return extension(BASIC_CONSTRAINTS, sequence(...(isAuthority ? [TRUE] : [])), { critical: true });
}

/** For a leaf: signing handshakes is all it may do. */
export function digitalSignatureOnly(): Buffer {
  return extension(KEY_USAGE, bitString(Buffer.from([0b1000_0000]), 7), { critical: true });
}

/** For an authority: certificates and revocation lists, nothing else. */
export function certificateAndCrlSigning(): Buffer {
  return extension(KEY_USAGE, bitString(Buffer.from([0b0000_0110]), 1), { critical: true });
}

export function serverAndClientAuthentication(): Buffer {
  return extension(
    EXTENDED_KEY_USAGE,
    sequence(objectIdentifier("1.3.6.1.5.5.7.3.1"), objectIdentifier("1.3.6.1.5.5.7.3.2")),
  );
}

export function subjectKeyIdentifier(identifier: Uint8Array): Buffer {
  return extension(SUBJECT_KEY_IDENTIFIER, octetString(identifier));
}

export function authorityKeyIdentifier(identifier: Uint8Array): Buffer {
  return extension(AUTHORITY_KEY_IDENTIFIER, sequence(implicit(0, identifier)));
}

/** `critical` must be true where the subject is empty (RFC 5280, 4.2.1.6). */
export function subjectAlternativeNames(names: readonly Buffer[], options: { critical: boolean }): Buffer {
  return extension(SUBJECT_ALTERNATIVE_NAME, sequence(...names), options);
}

export function uriName(uri: string): Buffer {
  return implicit(6, Buffer.from(uri, "ascii"));
}

/** An iPAddress where `name` is one, a dNSName otherwise. */
export function hostName(name: string): Buffer {
  return isIP(name) === 0
    ? implicit(2, Buffer.from(name, "ascii"))
    : implicit(7, Buffer.from(ipaddr.parse(name).toByteArray()));
}

function extension(type: Buffer, value: Uint8Array, options: { critical: boolean } = { critical: false }): Buffer {
  return sequence(type, ...(options.critical ? [TRUE] : []), octetString(value));
}
