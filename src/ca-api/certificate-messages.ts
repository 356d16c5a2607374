import { fromBinary, toJson } from "@bufbuild/protobuf";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { StructSchema } from "@bufbuild/protobuf/wkt";
import { Refusal } from "../ca/refusal.ts";
import { LARGEST_CSR_BYTES } from "../ca/x509/csr.ts";
import { TrysailError } from "../platform/errors.ts";

/** `istio.v1.auth.IstioCertificateRequest`, as proto/istio/v1/auth/ca.proto describes it. */
export interface IstioCertificateRequest {
  readonly csr: string;
  /** How long the certificate should live, in seconds; 0 where the caller leaves it open. */
  readonly validitySeconds: number;
  /** The SPIFFE id that a node agent asks for. */
  readonly impersonatedIdentity: string | undefined;
  /** The signer that the caller would like. */
  readonly certSigner: string | undefined;
}

/** Beside the request itself there is only the metadata: a few short texts. */
const LARGEST_REQUEST_BYTES = LARGEST_CSR_BYTES + 8 * 1024;
const LARGEST_METADATA_BYTES = 4 * 1024;

/** Decodes a request; throws a Refusal. */
export function parseCertificateRequest(bytes: Uint8Array): IstioCertificateRequest {
  if (bytes.length > LARGEST_REQUEST_BYTES) {
    throw new Refusal("csr-too-large", `a request may have ${LARGEST_REQUEST_BYTES} bytes at most`);
  }
  try {
    return readRequest(new BinaryReader(bytes));
  } catch (cause) {
    if (cause instanceof TrysailError) throw cause;
    throw new Refusal("bad-request", "not an IstioCertificateRequest", { cause });
  }
}

/** Encodes an `IstioCertificateResponse`: PEM texts, the leaf first and the roots last. */
export function certificateResponse(chain: readonly string[]): Buffer {
  const writer = new BinaryWriter();
  for (const pem of chain) writer.tag(1, WireType.LengthDelimited).string(pem);
  return Buffer.from(writer.finish());
}

function readRequest(reader: BinaryReader): IstioCertificateRequest {
  let csr = "";
  let validitySeconds = 0;
  let metadata: Readonly<Record<string, unknown>> = {};
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 1 && wireType === WireType.LengthDelimited) csr = reader.string();
    else if (field === 3 && wireType === WireType.Varint) validitySeconds = Number(reader.int64());
    else if (field === 4 && wireType === WireType.LengthDelimited) metadata = readMetadata(reader.bytes());
    else reader.skip(wireType, field);
  }
  const { ImpersonatedIdentity, CertSigner } = metadata;
  return { csr, validitySeconds, impersonatedIdentity: textOf(ImpersonatedIdentity), certSigner: textOf(CertSigner) };
}

function readMetadata(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  // Structs nest, and their depth is bounded by their size.
  if (bytes.length > LARGEST_METADATA_BYTES) throw new Refusal("bad-request", "the request's metadata is too large");
  const json = toJson(StructSchema, fromBinary(StructSchema, bytes));
  return Object.assign(Object.create(null), json);
}

/** Istio takes an empty text for none. */
function textOf(value: unknown): string | undefined {
  if (value === undefined || value === "") return undefined;
  if (typeof value !== "string") throw new Refusal("bad-request", "the request's metadata holds something but a text");
  return value;
}
