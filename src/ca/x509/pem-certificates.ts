import { X509Certificate } from "node:crypto";
import { pemBlocks } from "../../platform/pem.ts";

const BEGIN = "-----BEGIN CERTIFICATE-----";
const END = "-----END CERTIFICATE-----";

/** The certificates of a PEM text, in its order; what stands between them is skipped. Throws where one cannot be read. */
export function certificatesOf(pem: string): X509Certificate[] {
  return pemBlocks("CERTIFICATE", pem).map((one) => new X509Certificate(one));
}

/** The DER of the first certificate of a PEM text; throws a RangeError where there is none. */
export function firstCertificateDer(pem: string): Buffer {
  const [begin, end] = [pem.indexOf(BEGIN), pem.indexOf(END)];
  if (begin === -1 || end < begin) throw new RangeError("no certificate in PEM");
  return Buffer.from(pem.slice(begin + BEGIN.length, end), "base64");
}

/** SHA-256 over the first certificate's DER, in lower-case hexadecimal digits. */
export function fingerprintOf(pem: string): string {
  return new X509Certificate(pem).fingerprint256.replaceAll(":", "").toLowerCase();
}

/** Of every certificate of a PEM text, as OpenSSL writes them. */
export function fingerprintsOf(pem: string): string[] {
  return certificatesOf(pem).map((certificate) => certificate.fingerprint256);
}

export function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

/** Whether a certificate is signed with its own key, as roots are. */
export function isSelfSigned(certificate: X509Certificate): boolean {
  return isIssuedBy(certificate, certificate);
}

/** Whose a certificate is, in one line. */
export function subjectText({ subject }: Pick<X509Certificate, "subject">): string {
  return subject.replaceAll("\n", ", ");
}
