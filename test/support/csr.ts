import { type KeyObject, sign } from "node:crypto";
import { nameOf } from "../../src/ca/x509/certificate.ts";
import { subjectAlternativeNames } from "../../src/ca/x509/extensions.ts";
import { bitString, der, explicit, integer, objectIdentifier, sequence, TAG } from "../../src/platform/der.ts";

export interface CsrContent {
  readonly keys: { readonly publicKey: KeyObject; readonly privateKey: KeyObject };
  /** DER of each GeneralName to ask for. */
  readonly names?: readonly Buffer[];
  readonly commonName?: string;
  readonly organization?: string;
  /** DER of each attribute, in place of the one that asks for `names`. */
  readonly attributes?: readonly Buffer[];
  /** What to sign in place of the request. */
  readonly signed?: Buffer;
  readonly hash?: "sha1" | "sha256";
}

const NULL = Buffer.from([0x05, 0x00]);
const EXTENSION_REQUEST = objectIdentifier("1.2.840.113549.1.9.14");

/** The DER of a certification request, written by hand so that it can say what no library would. */
export function buildCsr({ keys, hash = "sha256", ...content }: CsrContent): Buffer {
  const { names = [], commonName, organization } = content;
  const asking = sequence(
    EXTENSION_REQUEST,
    der(TAG.set, sequence(subjectAlternativeNames(names, { critical: false }))),
  );
  const attributes = content.attributes ?? (names.length === 0 ? undefined : [asking]);
  const info = sequence(
    integer(Buffer.from([0])),
    nameOf({ ...(organization !== undefined && { organization }), ...(commonName !== undefined && { commonName }) }),
    keys.publicKey.export({ type: "spki", format: "der" }),
    ...(attributes === undefined ? [] : [explicit(0, ...attributes)]),
  );
  const type = keys.privateKey.asymmetricKeyType ?? "";
  const signature = sign(type.startsWith("ed") ? null : hash, content.signed ?? info, keys.privateKey);
  return sequence(info, algorithmOf(type, hash), bitString(signature));
}

export function csrPem(csr: Uint8Array): string {
  const lines =
    Buffer.from(csr)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE REQUEST-----\n${lines.join("\n")}\n-----END CERTIFICATE REQUEST-----\n`;
}

function algorithmOf(keyType: string, hash: "sha1" | "sha256"): Buffer {
  if (keyType === "ed25519") return sequence(objectIdentifier("1.3.101.112"));
  if (keyType === "rsa") return sequence(objectIdentifier("1.2.840.113549.1.1.11"), NULL);
  return sequence(objectIdentifier(hash === "sha1" ? "1.2.840.10045.4.1" : "1.2.840.10045.4.3.2"));
}
