import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { assertStrictForm } from "../../platform/assert-strict-form.ts";
import { messageOf, TrysailError } from "../../platform/errors.ts";
import { SecretBytes } from "../../platform/secret-bytes.ts";
import { refusalByLimits } from "../x509/chain-limits.ts";
import type { IssuedNames } from "../x509/name-constraints.ts";
import { certificatesOf, isIssuedBy, isSelfSigned, subjectText } from "../x509/pem-certificates.ts";

/** What it takes to sign leaves, and for others to verify them. All PEM. */
export interface AuthorityMaterial {
  /** The certificate whose key signs leaves: a root, or an intermediate. */
  readonly certificatePem: string;
  readonly keyPem: SecretBytes;
  /** What stands between it and its root, the nearest first, without either; empty where it is the root itself. */
  readonly intermediatesPem: string;
  /** The root of its chain, and any others that come with it. */
  readonly rootsPem: string;
}

/** Files as operators have them; what each is called is said in errors. Bytes are PEM. */
export interface MaterialFiles {
  readonly certificate: NamedBytes;
  readonly key: NamedBytes;
  /** The signing certificate and what is above it, in any order, with or without the root. */
  readonly chain?: NamedBytes | undefined;
  /** Where it is missing, `certificate` must be a root. */
  readonly roots?: NamedBytes | undefined;
}

export interface NamedBytes {
  readonly name: string;
  readonly bytes: Uint8Array | undefined;
}

/** For what an authority is to sign. */
export interface MaterialUse {
  /** Of the workloads. */
  readonly trustDomain: string;
  /** DNS names and IP addresses of the control plane itself; none unless given. */
  readonly servingHosts?: readonly string[];
}

const LONGEST_FILE = 256 * 1024;
const LONGEST_CHAIN = 8;

/**
 * Reads and checks the material of an authority: the key fits, every certificate is one of an authority, and the
 * chain leads to a root. Throws `failed-precondition` naming the file and what is wrong with it. That it is valid at
 * this time is for the caller to ask, by `validityOf`.
 */
export function parseAuthorityMaterial(files: MaterialFiles, { trustDomain, servingHosts = [] }: MaterialUse) {
  const certificate = readCertificate(files.certificate);
  const key = readKey(files.key);
  assertSigns(files, certificate, key);
  assertTrustDomain(files.certificate.name, certificate, trustDomain);
  const others = files.chain?.bytes === undefined ? [] : readCertificates(files.chain);
  const roots =
    files.roots?.bytes === undefined ? [certificate] : withRenewed(readCertificates(files.roots), certificate);
  const rootsName = files.roots?.bytes === undefined ? files.certificate.name : (files.roots?.name ?? "");
  for (const root of roots) {
    if (!root.ca) throw broken(rootsName, `holds ${subjectText(root)}, which is not the certificate of an authority`);
    if (!isSelfSigned(root)) throw broken(rootsName, `holds ${subjectText(root)}, which is not signed by its own key`);
  }
  const intermediates = chainBetween(certificate, others, roots, files.chain?.name ?? rootsName);
  const names = { trustDomain, hosts: servingHosts };
  assertPeersAccept(files.certificate.name, [certificate, ...intermediates], roots, names);
  const material: AuthorityMaterial = {
    certificatePem: certificate.toString(),
    keyPem: new SecretBytes(Buffer.from(key.export({ type: "pkcs8", format: "pem" }))),
    intermediatesPem: intermediates.map((one) => one.toString()).join(""),
    rootsPem: [...new Set(roots.map((root) => root.toString()))].join(""),
  };
  return material;
}

/**
 * istiod renews its root with the key that it has, and leaves the one before in `root-cert.pem`. Only the renewed one counts:
 * of two roots with one name and one key, Envoy may find the one that has ended.
 */
function withRenewed(roots: readonly X509Certificate[], certificate: X509Certificate): readonly X509Certificate[] {
  if (!isSelfSigned(certificate) || roots.some(({ fingerprint256 }) => fingerprint256 === certificate.fingerprint256)) {
    return roots;
  }
  const others = roots.filter((root) => !isIssuedBy(certificate, root));
  return others.length === roots.length ? roots : [certificate, ...others];
}

/** When the whole chain of the material is valid: milliseconds since the epoch, from the latest to the earliest. */
export function validityOf(material: AuthorityMaterial): { readonly notBefore: number; readonly notAfter: number } {
  const certificate = new X509Certificate(material.certificatePem);
  const above = certificatesOf(material.intermediatesPem);
  const top = above.at(-1) ?? certificate;
  const root = certificatesOf(material.rootsPem).find((one) => isIssuedBy(top, one));
  const chain = [certificate, ...above, ...(root === undefined ? [] : [root])];
  return {
    notBefore: Math.max(...chain.map((one) => one.validFromDate.getTime())),
    notAfter: Math.min(...chain.map((one) => one.validToDate.getTime())),
  };
}

/** Throws `failed-precondition` where the chain is over, or not valid yet; `name` is where it comes from. */
export function assertValidNow(name: string, material: AuthorityMaterial, now: number): void {
  const { notBefore, notAfter } = validityOf(material);
  if (notAfter <= now) throw broken(name, `expired at ${new Date(notAfter).toISOString()}`);
  if (notBefore > now) throw broken(name, `begins at ${new Date(notBefore).toISOString()}`);
}

function readCertificate(file: NamedBytes): X509Certificate {
  const [certificate, ...more] = readCertificates(file);
  if (certificate === undefined || more.length > 0) throw broken(file.name, "does not hold exactly one certificate");
  return certificate;
}

function readCertificates({ name, bytes }: NamedBytes): X509Certificate[] {
  if (bytes === undefined) throw broken(name, "is missing");
  if (bytes.length > LONGEST_FILE) throw broken(name, `is larger than ${LONGEST_FILE / 1024} KB`);
  let certificates: X509Certificate[];
  try {
    certificates = certificatesOf(Buffer.from(bytes).toString("latin1"));
    for (const { raw } of certificates) assertStrictForm(raw);
  } catch (error) {
    throw broken(name, `cannot be read (${messageOf(error)})`);
  }
  if (certificates.length === 0) throw broken(name, "cannot be read (it holds no PEM certificate)");
  return certificates;
}

function readKey({ name, bytes }: NamedBytes): KeyObject {
  if (bytes === undefined) throw broken(name, "is missing");
  if (bytes.length > LONGEST_FILE) throw broken(name, `is larger than ${LONGEST_FILE / 1024} KB`);
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: Buffer.from(bytes), format: "pem" });
  } catch (error) {
    // OpenSSL's words name what it expected and never what it read.
    throw broken(name, `cannot be read (${messageOf(error)})`);
  }
  if (!isStrongEnough(key)) throw broken(name, "is neither a P-256, P-384 or P-521 key nor RSA of 2048 bits or more");
  return key;
}

const CURVES = ["prime256v1", "secp384r1", "secp521r1"];

/** What Envoy accepts in a chain: it verifies no Ed25519. */
function isStrongEnough({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): boolean {
  if (asymmetricKeyType === "ec") return CURVES.includes(asymmetricKeyDetails?.namedCurve ?? "");
  return asymmetricKeyType === "rsa" && (asymmetricKeyDetails?.modulusLength ?? 0) >= 2048;
}

function assertSigns(files: MaterialFiles, certificate: X509Certificate, key: KeyObject): void {
  if (!certificate.checkPrivateKey(key)) throw broken(files.key.name, `is not the key of ${files.certificate.name}`);
  if (!certificate.ca) throw broken(files.certificate.name, "is not the certificate of an authority");
  if (certificate.checkIssued(certificate) && !isSelfSigned(certificate)) {
    throw broken(files.certificate.name, "is not signed by its own key");
  }
}

/** Istio's roots name no trust domain. Where one does, it is this one: a root must not speak for a second mesh. */
function assertTrustDomain(name: string, certificate: X509Certificate, trustDomain: string): void {
  const uris = (certificate.subjectAltName ?? "").split(", ").filter((san) => san.startsWith("URI:"));
  const id = `URI:spiffe://${trustDomain}`;
  const other = uris.find((uri) => uri !== id);
  if (other !== undefined) throw broken(name, `is for ${other}, and this mesh is spiffe://${trustDomain}`);
}

/** The way from the signing certificate up to one of the roots, without either end. */
function chainBetween(
  certificate: X509Certificate,
  others: readonly X509Certificate[],
  roots: readonly X509Certificate[],
  name: string,
): X509Certificate[] {
  const way: X509Certificate[] = [];
  let top = certificate;
  if (roots.some((root) => root.fingerprint256 === certificate.fingerprint256)) return way;
  while (!roots.some((root) => isIssuedBy(top, root))) {
    const issuer = others.find((one) => one.fingerprint256 !== top.fingerprint256 && isIssuedBy(top, one));
    if (issuer === undefined || isSelfSigned(issuer)) {
      throw broken(name, `does not lead from ${subjectText(top)} to a root that comes with it`);
    }
    if (!issuer.ca) throw broken(name, `holds ${subjectText(issuer)}, which is not the certificate of an authority`);
    if (way.length === LONGEST_CHAIN) throw broken(name, `has more than ${LONGEST_CHAIN} certificates above the first`);
    way.push(issuer);
    top = issuer;
  }
  return way;
}

/** Else every workload would be given a certificate that Envoy, OpenSSL or Go refuse. */
function assertPeersAccept(
  name: string,
  chain: readonly X509Certificate[],
  roots: readonly X509Certificate[],
  names: IssuedNames,
): void {
  const top = chain.at(-1);
  const root = top === undefined || isSelfSigned(top) ? undefined : roots.find((one) => isIssuedBy(top, one));
  const refusal = refusalByLimits([...chain, ...(root === undefined ? [] : [root])], names);
  if (refusal !== undefined) throw broken(name, refusal);
}

function broken(name: string, problem: string): TrysailError {
  return new TrysailError("failed-precondition", `${name} ${problem}`);
}
