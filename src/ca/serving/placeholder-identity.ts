import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { systemClock } from "../../platform/clock.ts";
import { systemRandom } from "../../platform/random.ts";
import { certificatePem, nameOf, signCertificate } from "../x509/certificate.ts";
import { digitalSignatureOnly } from "../x509/extensions.ts";

const HOUR_MS = 3_600_000;

/**
 * A certificate that stands for nobody, signed by itself and forgotten at once: where a configuration is printed and
 * must be complete, though only a real proxy is ever sent a real key.
 */
export function placeholderIdentity(): { chainPem: string; keyPem: string; rootPem: string } {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const name = nameOf({ commonName: "placeholder" });
  const now = systemClock.now();
  const certificate = signCertificate(
    {
      serialNumber: Buffer.from(systemRandom.bytes(16)),
      issuer: name,
      subject: name,
      notBefore: now - HOUR_MS,
      notAfter: now + HOUR_MS,
      publicKey: publicKey.export({ type: "spki", format: "der" }),
      extensions: [digitalSignatureOnly()],
    },
    privateKey,
  );
  const pem = new X509Certificate(certificatePem(certificate)).toString();
  return { chainPem: pem, keyPem: privateKey.export({ type: "pkcs8", format: "pem" }).toString(), rootPem: pem };
}
