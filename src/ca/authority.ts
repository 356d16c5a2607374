import { createPrivateKey, generateKeyPairSync, type KeyObject, X509Certificate } from "node:crypto";
import { join } from "node:path";
import type { Clock } from "../platform/clock.ts";
import { messageOf, TrysailError } from "../platform/errors.ts";
import type { Logger } from "../platform/log.ts";
import { type Random, systemRandom } from "../platform/random.ts";
import type { StateDir } from "../platform/state-dir.ts";
import { certificatePem, keyIdentifier, nameOf, signCertificate } from "./certificate.ts";
import {
  authorityKeyIdentifier,
  basicConstraints,
  certificateAndCrlSigning,
  subjectAlternativeNames,
  subjectKeyIdentifier,
  uriName,
} from "./extensions.ts";
import { createSigner, type Signer } from "./signer.ts";

/** The root of the mesh's trust, and what signs under it. */
export interface Authority {
  readonly rootCertificatePem: string;
  /** Every root that peers must accept, as one PEM text. */
  readonly trustBundlePem: string;
  readonly signer: Signer;
}

export interface AuthorityDeps {
  readonly state: StateDir;
  readonly clock: Clock;
  readonly trustDomain: string;
  readonly log: Logger;
  readonly random?: Random;
}

const FOLDER = "ca";
const CERTIFICATE = "root-cert.pem";
const KEY = "root-key.pem";
const LIFETIME_YEARS = 10;
const BACKDATE_MS = 60_000;

/**
 * Reads the root from the state folder, and makes it on the first start. A root is never replaced: where what lies
 * there is damaged, or of another mesh, this throws `failed-precondition` naming the file and the way out.
 */
export async function loadAuthority(deps: AuthorityDeps): Promise<Authority> {
  const random = deps.random ?? systemRandom;
  if ((await readRoot(deps.state)) === undefined) {
    const files = createRoot({ ...deps, random });
    if (await deps.state.createStateFolder(FOLDER, files)) {
      deps.log.info({ folder: join(deps.state.path, FOLDER), trustDomain: deps.trustDomain }, "made a new mesh root");
    }
  }
  // Read back in every case: another process may have been first, and what was written is what counts.
  const root = await readRoot(deps.state);
  if (root === undefined) {
    throw broken(deps.state, FOLDER, "has other files, but no root in it");
  }
  assertUsable(deps, root);
  return {
    rootCertificatePem: root.certificate.toString(),
    trustBundlePem: root.certificate.toString(),
    signer: createSigner({ ...root, clock: deps.clock, random }),
  };
}

interface Root {
  readonly certificate: X509Certificate;
  readonly key: KeyObject;
}

function createRoot(deps: { clock: Clock; random: Random; trustDomain: string }) {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const spki = publicKey.export({ type: "spki", format: "der" });
  const serialNumber = deps.random.bytes(16);
  // Roots that follow one another need different names, so that a verifier finds the right one.
  const label = Buffer.from(serialNumber).toString("hex").slice(0, 8);
  const name = nameOf({ organization: deps.trustDomain, commonName: `Trysail root ${label}` });
  const notAfter = new Date(deps.clock.now());
  notAfter.setUTCFullYear(notAfter.getUTCFullYear() + LIFETIME_YEARS);
  const certificate = signCertificate(
    {
      serialNumber,
      issuer: name,
      subject: name,
      notBefore: deps.clock.now() - BACKDATE_MS,
      notAfter: notAfter.getTime(),
      publicKey: spki,
      extensions: [
        basicConstraints(true),
        certificateAndCrlSigning(),
        subjectKeyIdentifier(keyIdentifier(spki)),
        authorityKeyIdentifier(keyIdentifier(spki)),
        subjectAlternativeNames([uriName(trustDomainId(deps.trustDomain))], { critical: false }),
      ],
    },
    privateKey,
  );
  return [
    { name: CERTIFICATE, bytes: certificatePem(certificate), mode: 0o644 },
    { name: KEY, bytes: privateKey.export({ type: "pkcs8", format: "pem" }), mode: 0o600 },
  ];
}

async function readRoot(state: StateDir): Promise<Root | undefined> {
  let [certificatePem, keyPem] = await readPair(state);
  if ((certificatePem === undefined) !== (keyPem === undefined)) {
    // Another process may have put the folder in place between the two reads; then both are there now.
    [certificatePem, keyPem] = await readPair(state);
  }
  if (certificatePem === undefined && keyPem === undefined) return undefined;
  if (certificatePem === undefined) throw broken(state, `${FOLDER}/${CERTIFICATE}`, `is missing beside ${KEY}`);
  if (keyPem === undefined) throw broken(state, `${FOLDER}/${KEY}`, `is missing beside ${CERTIFICATE}`);
  return {
    certificate: parse(state, `${FOLDER}/${CERTIFICATE}`, () => new X509Certificate(certificatePem)),
    key: parse(state, `${FOLDER}/${KEY}`, () => createPrivateKey(keyPem)),
  };
}

async function readPair(state: StateDir): Promise<[Buffer | undefined, Buffer | undefined]> {
  return [await state.readState(`${FOLDER}/${CERTIFICATE}`), await state.readState(`${FOLDER}/${KEY}`)];
}

function assertUsable(deps: AuthorityDeps, { certificate, key }: Root): void {
  const refuse = (file: string, problem: string): TrysailError => broken(deps.state, `${FOLDER}/${file}`, problem);
  if (key.asymmetricKeyType !== "ec" || key.asymmetricKeyDetails?.namedCurve !== "prime256v1") {
    throw refuse(KEY, "is not a P-256 key");
  }
  if (!certificate.checkPrivateKey(key)) throw refuse(KEY, `is not the key of ${CERTIFICATE}`);
  if (!certificate.ca) throw refuse(CERTIFICATE, "is not the certificate of an authority");
  if (!certificate.verify(certificate.publicKey)) throw refuse(CERTIFICATE, "is not signed by its own key");
  const id = trustDomainId(deps.trustDomain);
  if (certificate.subjectAltName !== `URI:${id}`) {
    throw refuse(CERTIFICATE, `is for ${certificate.subjectAltName ?? "no trust domain"}, and this mesh is ${id}`);
  }
  const now = deps.clock.now();
  if (certificate.validToDate.getTime() <= now)
    throw refuse(CERTIFICATE, `expired at ${isoTime(certificate.validToDate)}`);
  if (certificate.validFromDate.getTime() > now) {
    throw refuse(CERTIFICATE, `begins at ${isoTime(certificate.validFromDate)}: is this machine's clock right?`);
  }
}

function parse<T>(state: StateDir, name: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw broken(state, name, `cannot be read (${messageOf(error)})`);
  }
}

function broken(state: StateDir, name: string, problem: string): TrysailError {
  const folder = join(state.path, FOLDER);
  return new TrysailError(
    "failed-precondition",
    `the mesh root ${join(state.path, name)} ${problem}. Restore ${folder} from a backup, or move it away to start with a new root that every workload must be told of`,
  );
}

/** The SPIFFE id of an authority has no path (X.509-SVID, 3.2). */
function trustDomainId(trustDomain: string): string {
  return `spiffe://${trustDomain}`;
}

function isoTime(date: Date): string {
  return date.toISOString();
}
