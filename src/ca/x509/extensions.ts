import { isIP } from "node:net";
import ipaddr from "ipaddr.js";
import { bitString, implicit, objectIdentifier, octetString, sequence, TRUE } from "../../platform/der.ts";

/** DER of the types of extensions (RFC 5280, 4.2). */
export const EXTENSION_TYPE = {
  basicConstraints: objectIdentifier("2.5.29.19"),
  keyUsage: objectIdentifier("2.5.29.15"),
  extendedKeyUsage: objectIdentifier("2.5.29.37"),
  subjectKeyIdentifier: objectIdentifier("2.5.29.14"),
  authorityKeyIdentifier: objectIdentifier("2.5.29.35"),
  subjectAlternativeName: objectIdentifier("2.5.29.17"),
} as const;

/** DER of the purposes for which a leaf may be used (RFC 5280, 4.2.1.12). */
export const SERVER_AUTHENTICATION = objectIdentifier("1.3.6.1.5.5.7.3.1");
export const CLIENT_AUTHENTICATION = objectIdentifier("1.3.6.1.5.5.7.3.2");

/** Certificate extensions (RFC 5280, 4.2), each as DER ready for `CertificateContent.extensions`. */

export function basicConstraints(isAuthority: boolean): Buffer {
  return extension(EXTENSION_TYPE.basicConstraints, sequence(...(isAuthority ? [TRUE] : [])), { critical: true });
}

/** For a leaf: signing handshakes is all it may do. */
export function digitalSignatureOnly(): Buffer {
  return extension(EXTENSION_TYPE.keyUsage, bitString(Buffer.from([0b1000_0000]), 7), { critical: true });
}

/** For an authority: certificates and revocation lists, nothing else. */
export function certificateAndCrlSigning(): Buffer {
  return extension(EXTENSION_TYPE.keyUsage, bitString(Buffer.from([0b0000_0110]), 1), { critical: true });
}

export function serverAndClientAuthentication(): Buffer {
  return extension(EXTENSION_TYPE.extendedKeyUsage, sequence(SERVER_AUTHENTICATION, CLIENT_AUTHENTICATION));
}

export function subjectKeyIdentifier(identifier: Uint8Array): Buffer {
  return extension(EXTENSION_TYPE.subjectKeyIdentifier, octetString(identifier));
}

export function authorityKeyIdentifier(identifier: Uint8Array): Buffer {
  return extension(EXTENSION_TYPE.authorityKeyIdentifier, sequence(implicit(0, identifier)));
}

/** `critical` must be true where the subject is empty (RFC 5280, 4.2.1.6). */
export function subjectAlternativeNames(names: readonly Buffer[], options: { critical: boolean }): Buffer {
  return extension(EXTENSION_TYPE.subjectAlternativeName, sequence(...names), options);
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
