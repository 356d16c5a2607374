import { X509Certificate } from "node:crypto";

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]*-----END CERTIFICATE-----/g;

/** The certificates of a PEM text, in its order; what stands between them is skipped. Throws where one cannot be read. */
export function certificatesOf(pem: string): X509Certificate[] {
  return (pem.match(CERTIFICATE) ?? []).map((one) => new X509Certificate(one));
}

/** SHA-256 over the first certificate's DER, in lower-case hexadecimal digits. */
export function fingerprintOf(pem: string): string {
  return new X509Certificate(pem).fingerprint256.replaceAll(":", "").toLowerCase();
}

/** Of every certificate of a PEM text, as OpenSSL writes them. */
export function fingerprintsOf(pem: string): string[] {
  return certificatesOf(pem).map((certificate) => certificate.fingerprint256);
}

/** Whether a certificate is signed with its own key, as roots are. */
export function isSelfSigned(certificate: X509Certificate): boolean {
  return certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey);
}
