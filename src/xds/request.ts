import { fromBinary } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { StatusSchema } from "../gen/google/rpc/status_pb.ts";
import { messageOf, TrysailError } from "../platform/errors.ts";
import type { NameSet, NameTable } from "./name-set.ts";

/** What a state-of-the-world DiscoveryRequest says. */
export interface SotwRequest {
  readonly typeUrl: string;
  readonly names: NameSet;
  readonly nonce: string;
  /** Why the proxy rejected the response with this nonce; null where it did not. */
  readonly error: string | null;
  /** The node message, not decoded. Envoy sends it with a stream's first request only. */
  readonly node: Uint8Array | null;
}

/** What a DeltaDiscoveryRequest says. */
export interface DeltaRequest {
  readonly typeUrl: string;
  readonly subscribe: NameSet;
  readonly unsubscribe: NameSet;
  /** Name to version of what the proxy kept from an earlier stream. */
  readonly initialVersions: ReadonlyMap<string, string>;
  readonly nonce: string;
  readonly error: string | null;
  readonly node: Uint8Array | null;
}

export interface RequestLimits {
  /** Names that one stream may hold of one type. */
  readonly maxNames: number;
  /** Size of a node message. */
  readonly maxNodeBytes: number;
}

const LONGEST_ERROR = 4096;

/**
 * Reads a request without decoding what need not be: the names, which state-of-the-world repeats in each
 * acknowledgement, are looked up by their bytes. Throws `invalid-argument` for what is no such message, and
 * `resource-exhausted` for what is beyond the limits.
 */
export function parseSotwRequest(bytes: Uint8Array, table: NameTable, limits: RequestLimits): SotwRequest {
  const names = new NameField(bytes, table, limits);
  let typeUrl = "";
  let nonce = "";
  let error: string | null = null;
  let node: Uint8Array | null = null;
  readFields(bytes, (field, reader, start) => {
    if (field === 2) node = nodeBytes(reader, limits);
    else if (field === 3) names.skip(reader, start);
    else if (field === 4) typeUrl = reader.string();
    else if (field === 5) nonce = reader.string();
    else if (field === 6) error = errorText(reader.bytes());
    else return false;
    return true;
  });
  return { typeUrl, names: names.finish(), nonce, error, node };
}

/** As `parseSotwRequest`, for the delta protocol. */
export function parseDeltaRequest(bytes: Uint8Array, table: NameTable, limits: RequestLimits): DeltaRequest {
  const subscribe = new NameField(bytes, table, limits);
  const unsubscribe = new NameField(bytes, table, limits);
  const initialVersions = new Map<string, string>();
  let typeUrl = "";
  let nonce = "";
  let error: string | null = null;
  let node: Uint8Array | null = null;
  readFields(bytes, (field, reader, start) => {
    if (field === 1) node = nodeBytes(reader, limits);
    else if (field === 2) typeUrl = reader.string();
    else if (field === 3) subscribe.skip(reader, start);
    else if (field === 4) unsubscribe.skip(reader, start);
    else if (field === 5) {
      const [name, version] = versionEntry(reader.bytes());
      initialVersions.set(name, version);
      if (initialVersions.size > limits.maxNames) throw tooManyNames(limits);
    } else if (field === 6) nonce = reader.string();
    else if (field === 7) error = errorText(reader.bytes());
    else return false;
    return true;
  });
  const sets = { subscribe: subscribe.finish(), unsubscribe: unsubscribe.finish() };
  return { typeUrl, ...sets, initialVersions, nonce, error, node };
}

export function tooManyNames(limits: Pick<RequestLimits, "maxNames">): TrysailError {
  return new TrysailError("resource-exhausted", `more than ${limits.maxNames} resource names of one type`);
}

/** `read` consumes a field and answers true, or leaves it alone and answers false. */
function readFields(bytes: Uint8Array, read: (field: number, reader: BinaryReader, start: number) => boolean): void {
  const reader = new BinaryReader(bytes);
  try {
    while (reader.pos < reader.len) {
      const start = reader.pos;
      const [field, wireType] = reader.tag();
      if (wireType !== WireType.LengthDelimited || !read(field, reader, start)) reader.skip(wireType, field);
    }
  } catch (cause) {
    if (cause instanceof TrysailError) throw cause;
    throw new TrysailError("invalid-argument", `not a discovery request: ${messageOf(cause)}`, { cause });
  }
}

/** A repeated string field, found but not decoded. */
class NameField {
  readonly #bytes: Uint8Array;
  readonly #table: NameTable;
  readonly #limits: RequestLimits;
  readonly #runs: { start: number; end: number }[] = [];
  #count = 0;

  constructor(bytes: Uint8Array, table: NameTable, limits: RequestLimits) {
    this.#bytes = bytes;
    this.#table = table;
    this.#limits = limits;
  }

  skip(reader: BinaryReader, start: number): void {
    const length = reader.uint32();
    reader.pos += length;
    if (reader.pos > reader.len) throw new RangeError("premature EOF");
    if (++this.#count > this.#limits.maxNames) throw tooManyNames(this.#limits);
    const last = this.#runs.at(-1);
    if (last?.end === start) last.end = reader.pos;
    else this.#runs.push({ start, end: reader.pos });
  }

  finish(): NameSet {
    const parts = this.#runs.map(({ start, end }) => this.#bytes.subarray(start, end));
    const wire = parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts);
    return this.#table.ofWire(wire, () => {
      const names: string[] = [];
      readFields(wire, (_field, reader) => {
        names.push(reader.string());
        return true;
      });
      return names;
    });
  }
}

function nodeBytes(reader: BinaryReader, limits: RequestLimits): Uint8Array {
  const bytes = reader.bytes();
  if (bytes.length > limits.maxNodeBytes) {
    throw new TrysailError("resource-exhausted", `node message larger than ${limits.maxNodeBytes} bytes`);
  }
  return bytes;
}

function versionEntry(bytes: Uint8Array): [string, string] {
  let name = "";
  let version = "";
  readFields(bytes, (field, reader) => {
    if (field === 1) name = reader.string();
    else if (field === 2) version = reader.string();
    else return false;
    return true;
  });
  return [name, version];
}

function errorText(bytes: Uint8Array): string {
  const { message } = fromBinary(StatusSchema, bytes);
  return message.slice(0, LONGEST_ERROR) || "rejected without a message";
}
