import { createPrivateKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import type { Clock } from "../../platform/clock.ts";
import type { Random } from "../../platform/random.ts";
import { SecretBytes } from "../../platform/secret-bytes.ts";
import {
  certificatePem,
  keyIdentifier,
  keyIdentifierOf,
  nameOf,
  signCertificate,
  subjectNameOf,
} from "../x509/certificate.ts";
import {
  authorityKeyIdentifier,
  basicConstraints,
  certificateAndCrlSigning,
  subjectAlternativeNames,
  subjectKeyIdentifier,
  uriName,
} from "../x509/extensions.ts";
import type { AuthorityMaterial } from "./authority-material.ts";

export interface RootDeps {
  readonly clock: Pick<Clock, "now">;
  readonly random: Pick<Random, "bytes">;
  readonly trustDomain: string;
  /** Ten years unless given. */
  readonly lifeMs?: number | undefined;
}

const LIFETIME_YEARS = 10;
const BACKDATE_MS = 60_000;
const SERIAL_BYTES = 16;

/** A new root of the mesh's own, with a new P-256 key. */
export function createSelfSignedRoot(deps: RootDeps): AuthorityMaterial {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const spki = publicKey.export({ type: "spki", format: "der" });
  const serialNumber = deps.random.bytes(SERIAL_BYTES);
  // Roots that follow one another need different names, so that a verifier finds the right one.
  const label = Buffer.from(serialNumber).toString("hex").slice(0, 8);
  const name = nameOf({ organization: deps.trustDomain, commonName: `Trysail root ${label}` });
  const now = deps.clock.now();
  const certificate = signCertificate(
    {
      serialNumber,
      issuer: name,
      subject: name,
      notBefore: now - BACKDATE_MS,
      notAfter: deps.lifeMs === undefined ? yearsBehind(now, LIFETIME_YEARS) : now + deps.lifeMs,
      publicKey: spki,
      extensions: authorityExtensions({ own: keyIdentifier(spki), issuer: keyIdentifier(spki) }, deps.trustDomain),
    },
    privateKey,
  );
  const pem = certificatePem(certificate);
  return {
    certificatePem: pem,
    keyPem: new SecretBytes(Buffer.from(privateKey.export({ type: "pkcs8", format: "pem" }))),
    intermediatesPem: "",
    rootsPem: pem,
  };
}

/**
 * A root's name and key in a certificate that an earlier root has signed: whoever trusts only the earlier one can then
 * verify what the later one signs. It ends when the first of the two does.
 */
export function crossSign(root: AuthorityMaterial, by: AuthorityMaterial, deps: RootDeps): string {
  const [subject, issuer] = [new X509Certificate(root.certificatePem), new X509Certificate(by.certificatePem)];
  const certificate = signCertificate(
    {
      serialNumber: deps.random.bytes(SERIAL_BYTES),
      issuer: subjectNameOf(issuer),
      subject: subjectNameOf(subject),
      notBefore: Math.max(subject.validFromDate.getTime(), issuer.validFromDate.getTime()),
      notAfter: Math.min(subject.validToDate.getTime(), issuer.validToDate.getTime()),
      publicKey: subject.publicKey.export({ type: "spki", format: "der" }),
      extensions: authorityExtensions(
        { own: keyIdentifierOf(subject), issuer: keyIdentifierOf(issuer) },
        deps.trustDomain,
      ),
    },
    createPrivateKey(Buffer.from(by.keyPem.reveal())),
  );
  return certificatePem(certificate);
}

/** The SPIFFE id of an authority has no path (X.509-SVID, 3.2). */
function authorityExtensions(keys: { own: Uint8Array; issuer: Uint8Array }, trustDomain: string): Buffer[] {
  return [
    basicConstraints(true),
    certificateAndCrlSigning(),
    subjectKeyIdentifier(keys.own),
    authorityKeyIdentifier(keys.issuer),
    subjectAlternativeNames([uriName(`spiffe://${trustDomain}`)], { critical: false }),
  ];
}

function yearsBehind(epochMs: number, years: number): number {
  const date = new Date(epochMs);
  date.setUTCFullYear(date.getUTCFullYear() + years);
  return date.getTime();
}
