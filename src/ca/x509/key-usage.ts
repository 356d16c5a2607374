import type { X509Certificate } from "node:crypto";
import { readDer } from "../../platform/der.ts";
import { extensionValueOf } from "./certificate.ts";

/** Bits of a KeyUsage's first octet, which are counted from the left (RFC 5280, 4.2.1.3). */
export const DIGITAL_SIGNATURE = 0b1000_0000;
export const CERTIFICATE_SIGNING = 0b0000_0100;
export const CRL_SIGNING = 0b0000_0010;

/** What a certificate limits its key to; undefined where it limits nothing. Throws a RangeError where that cannot be read. */
export function keyUsageOf(certificate: X509Certificate): number | undefined {
  const usage = extensionValueOf(certificate, "2.5.29.15");
  if (usage === undefined) return undefined;
  const [, bits = 0] = readDer(usage)[0]?.content ?? [];
  return bits;
}
