import { type DerElement, objectIdentifier, readOne, TAG } from "../../platform/der.ts";
import { messageOf, TrysailError } from "../../platform/errors.ts";
import { spiffeId, type WorkloadIdentity } from "../identity.ts";
import { Refusal } from "../refusal.ts";
import type { Signatures } from "../signatures.ts";
import { type LeafPublicKey, parsePublicKey } from "./public-key.ts";
import { type SignatureAlgorithm, signatureAlgorithm } from "./signature-algorithm.ts";

/** A PKCS #10 certification request (RFC 2986), as far as an authority may look into one. */
export interface Csr {
  readonly der: Uint8Array;
  readonly publicKey: LeafPublicKey;
  /** Whether the subject says nothing but common names, or nothing at all. */
  readonly hasPlainSubject: boolean;
  /** Every name that is asked for: of the subject all but organization and place, and the subject alternative names. */
  readonly names: readonly RequestedName[];
  readonly proof: {
    readonly algorithm: SignatureAlgorithm;
    readonly signed: Buffer;
    readonly signature: Buffer;
  };
}

export type RequestedName =
  | { readonly kind: "uri" | "common-name"; readonly value: string }
  /** Of a kind that no workload's certificate has. */
  | { readonly kind: "other" };

/** An RSA key of 4096 bits with a long name makes a request of 2.5 KB; what is far larger is not looked at. */
export const LARGEST_CSR_BYTES = 16 * 1024;
const PEM =
  /^\s*-----BEGIN (NEW )?CERTIFICATE REQUEST-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END (?:NEW )?CERTIFICATE REQUEST-----\s*$/;
const VERSION_1 = Buffer.from([0x02, 0x01, 0x00]);
const COMMON_NAME = objectIdentifier("2.5.4.3");
/** Organization and its unit, country, state and locality, which name nobody: Istio's agents write the first of them. */
const PLACES = ["2.5.4.10", "2.5.4.11", "2.5.4.6", "2.5.4.8", "2.5.4.7"].map(objectIdentifier);
/** extensionRequest, and the older one of Microsoft's, which OpenSSL reads as well. */
const EXTENSION_REQUESTS = ["1.2.840.113549.1.9.14", "1.3.6.1.4.1.311.2.1.14"].map(objectIdentifier);
const SUBJECT_ALTERNATIVE_NAME = objectIdentifier("2.5.29.17");
const URI_NAME = 0x86;
const ATTRIBUTES = 0xa0;
const MOST_NAMES = 16;
/** Real requests have one or two of each. */
const MOST_ELEMENTS = 64;

/** Reads a request from PEM or DER; throws a Refusal. Nothing is proven yet. */
export function parseCsr(csr: string | Uint8Array): Csr {
  if (csr.length > LARGEST_CSR_BYTES) {
    throw new Refusal("csr-too-large", `a certificate signing request may have ${LARGEST_CSR_BYTES} bytes at most`);
  }
  try {
    return readCsr(typeof csr === "string" ? derOfPem(csr) : Buffer.from(csr));
  } catch (error) {
    if (error instanceof Refusal) throw error;
    throw new Refusal("csr-malformed", "not a certificate signing request in PEM or DER", {
      cause: new Error(messageOf(error)),
    });
  }
}

/** Throws a Refusal where whoever made the request does not hold the key. */
export async function provePossession({ publicKey, proof }: Csr, signatures: Signatures): Promise<void> {
  const { algorithm, signed, signature } = proof;
  let isProven: boolean;
  try {
    isProven = await signatures.verify(algorithm.hash, signed, publicKey.pem, signature);
  } catch (cause) {
    // That no thread could be asked says nothing of the request.
    if (cause instanceof TrysailError) throw cause;
    throw new Refusal("csr-malformed", "the request's key is none", { cause: new Error(messageOf(cause)) });
  }
  if (!isProven) throw new Refusal("csr-bad-signature", "the request is not signed by its own key");
}

/**
 * The names of a certificate come from the caller's credentials. A request may repeat them, and one that asks for
 * anything else is refused, so that nobody takes for granted a name that was left out.
 */
export function assertNamesOnly({ names }: Pick<Csr, "names">, identity: WorkloadIdentity): void {
  const own = spiffeId(identity);
  const uris = names.filter(({ kind }) => kind === "uri");
  if (uris.length > 1) throw new Refusal("csr-other-names", "the request asks for several URIs");
  if (names.every((name) => name.kind !== "other" && name.value === own)) return;
  throw new Refusal("csr-other-names", `the request asks for other names than the caller's, ${own}`);
}

function derOfPem(text: string): Buffer {
  const body = PEM.exec(text)?.[2];
  if (body === undefined && text.startsWith("-----BEGIN") && !text.includes("\n")) {
    throw new Refusal("csr-malformed", "the request's PEM has lost its line ends (curl keeps them by --data-binary)");
  }
  if (body === undefined) throw new Error("no PEM block of a request, or more than one");
  const base64 = body.replaceAll(/[\r\n]/g, "");
  if (base64.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) throw new Error("not base64");
  return Buffer.from(base64, "base64");
}

function readCsr(der: Buffer): Csr {
  const [info, algorithmElement, signatureBits, ...more] = readOne(der, TAG.sequence);
  if (info?.tag !== TAG.sequence || signatureBits?.tag !== TAG.bitString || signatureBits.firstOctet !== 0) {
    throw new RangeError("not a CertificationRequest");
  }
  const [version, subject, key, attributes, ...others] = info.elements();
  if (!version?.is(VERSION_1) || subject?.tag !== TAG.sequence || key === undefined) {
    throw new RangeError("not a CertificationRequestInfo");
  }
  // OpenSSL leaves the attributes out where there are none, though RFC 2986 has them always.
  if (more.length + others.length > 0 || (attributes !== undefined && attributes.tag !== ATTRIBUTES)) {
    throw new RangeError("elements that do not belong there");
  }
  const publicKey = parsePublicKey(key);
  const algorithm = algorithmElement === undefined ? undefined : signatureAlgorithm(algorithmElement);
  if (algorithm === undefined) {
    throw new Refusal("csr-unsupported-key", "the request must be signed with SHA-256, SHA-384, SHA-512 or Ed25519");
  }
  if (algorithm.keyType !== publicKey.keyType) throw new RangeError("signed by another kind of key than its own");
  const about = attributesOf(subject);
  return {
    der,
    publicKey,
    hasPlainSubject: about.every(({ type }) => type.is(COMMON_NAME)),
    names: atMost(MOST_NAMES, [...subjectNames(about), ...alternativeNames(attributes)]),
    proof: { algorithm, signed: info.raw, signature: signatureBits.content.subarray(1) },
  };
}

interface SubjectAttribute {
  /** An OBJECT IDENTIFIER. */
  readonly type: DerElement;
  readonly value: DerElement;
}

function attributesOf(subject: DerElement): SubjectAttribute[] {
  return children(subject, TAG.sequence).flatMap((set) =>
    children(set, TAG.set).map((attribute) => {
      const [type, value, ...more] = children(attribute, TAG.sequence);
      if (type?.tag !== TAG.objectIdentifier || value === undefined || more.length > 0) {
        throw new RangeError("not a Name");
      }
      return { type, value };
    }),
  );
}

function subjectNames(subject: readonly SubjectAttribute[]): RequestedName[] {
  // An empty one names nobody: tools write it where the user left the question open.
  const named = subject.filter(
    ({ type, value }) => value.content.length > 0 && !PLACES.some((place) => type.is(place)),
  );
  return named.map(({ type, value }) =>
    type.is(COMMON_NAME) && (value.tag === TAG.utf8String || value.tag === TAG.printableString)
      ? textName("common-name", value)
      : { kind: "other" },
  );
}

function alternativeNames(attributes: DerElement | undefined): RequestedName[] {
  if (attributes === undefined) return [];
  const requests = valuesOf(children(attributes, ATTRIBUTES), EXTENSION_REQUESTS, TAG.set);
  const [request] = atMost(1, requests);
  if (request === undefined) return [];
  const [extensions, ...more] = request;
  if (extensions === undefined || more.length > 0) throw new RangeError("not an extension request");
  const named = children(extensions, TAG.sequence).filter((extension) => {
    const [type] = children(extension, TAG.sequence);
    return type?.is(SUBJECT_ALTERNATIVE_NAME);
  });
  const [extension] = atMost(1, named);
  if (extension === undefined) return [];
  const value = extension.elements().at(-1);
  if (value?.tag !== TAG.octetString) throw new RangeError("not an Extension");
  const names = readOne(value.content, TAG.sequence);
  if (names.length > MOST_NAMES) throw tooMany();
  return names.map((name) => (name.tag === URI_NAME ? textName("uri", name) : { kind: "other" }));
}

/** Of attributes `SEQUENCE { type, SET }`, the sets of those with one of the given types. */
function valuesOf(attributes: readonly DerElement[], wanted: readonly Buffer[], tag: number): DerElement[][] {
  return attributes.flatMap((attribute) => {
    const [type, values, ...more] = children(attribute, TAG.sequence);
    if (type?.tag !== TAG.objectIdentifier || values?.tag !== tag || more.length > 0) {
      throw new RangeError("not an Attribute");
    }
    return wanted.some((one) => type.is(one)) ? [children(values, tag)] : [];
  });
}

function children(element: DerElement, tag: number): DerElement[] {
  if (element.tag !== tag) throw new RangeError(`a DER element of tag ${element.tag}, not ${tag}`);
  const inside = element.elements();
  if (inside.length > MOST_ELEMENTS) throw tooMany();
  return inside;
}

const PRINTABLE = /^[\x21-\x7e]*$/;

/** A URI is an IA5String: what is beyond ASCII equals no SPIFFE id, and shows as itself nowhere. */
function textName(kind: "uri" | "common-name", { content }: DerElement): RequestedName {
  const value = content.toString("latin1");
  return PRINTABLE.test(value) ? { kind, value } : { kind: "other" };
}

function atMost<T>(most: number, list: readonly T[]): readonly T[] {
  if (list.length > most) throw tooMany();
  return list;
}

function tooMany(): Refusal {
  return new Refusal("csr-other-names", "the request asks for too many names or extensions");
}
