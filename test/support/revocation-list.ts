import { createPrivateKey, sign, X509Certificate } from "node:crypto";
import { keyIdentifierOf, subjectNameOf } from "../../src/ca/x509/certificate.ts";
import { authorityKeyIdentifier } from "../../src/ca/x509/extensions.ts";
import { bitString, der, explicit, integer, objectIdentifier, sequence, TAG, time } from "../../src/platform/der.ts";
import { pemText } from "../../src/platform/pem.ts";

export interface RevocationListContent {
  /** The authority whose list it is; on P-256. PEM. */
  readonly certificatePem: string;
  readonly keyPem: string;
  /** Of certificates that are taken back, in hexadecimal digits. */
  readonly serialNumbers?: readonly string[];
  /** Milliseconds since the epoch. */
  readonly thisUpdate: number;
  /** Left out where it is null. */
  readonly nextUpdate: number | null;
  /** DER of extensions beside those that every list has. */
  readonly extensions?: readonly Buffer[];
}

const ECDSA_SHA256 = sequence(objectIdentifier("1.2.840.10045.4.3.2"));

/** A revocation list in PEM, written by hand so that it can say what no tool would. */
export function buildRevocationList(content: RevocationListContent): string {
  const { serialNumbers = [], thisUpdate, nextUpdate, extensions = [] } = content;
  const authority = new X509Certificate(content.certificatePem);
  // An empty text becomes an INTEGER without digits, which there must not be.
  const revoked = serialNumbers.map((serial) =>
    sequence(serial === "" ? der(TAG.integer) : integer(Buffer.from(serial, "hex")), time(thisUpdate)),
  );
  const number = sequence(objectIdentifier("2.5.29.20"), Buffer.from([0x04, 0x03, 0x02, 0x01, 0x01]));
  const toBeSigned = sequence(
    integer(Buffer.from([1])),
    ECDSA_SHA256,
    subjectNameOf(authority),
    time(thisUpdate),
    ...(nextUpdate === null ? [] : [time(nextUpdate)]),
    ...(revoked.length === 0 ? [] : [sequence(...revoked)]),
    explicit(0, sequence(authorityKeyIdentifier(keyIdentifierOf(authority)), number, ...extensions)),
  );
  const signature = sign("sha256", toBeSigned, createPrivateKey(content.keyPem));
  return pemText("X509 CRL", sequence(toBeSigned, ECDSA_SHA256, bitString(signature)));
}
