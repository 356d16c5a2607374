import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import type { Numbered } from "./nonce.ts";
import type { EncodedResource, TypeUrl } from "./resource-set.ts";
import type { Update } from "./update.ts";

/** The two protocols of xDS: `sotw` is state-of-the-world. */
export type Protocol = "sotw" | "delta";

/** A whole (Delta)DiscoveryResponse, ready to be written. Shared: never to be changed. */
export interface EncodedResponse extends Numbered {
  readonly typeUrl: TypeUrl;
  readonly bytes: Buffer;
}

// Field numbers of envoy/service/discovery/v3/discovery.proto and google/protobuf/any.proto. Both responses have
// their version, resources, type and nonce under the same numbers.
const VERSION = 1;
const RESOURCES = 2;
const TYPE_URL_FIELD = 4;
const NONCE = 5;
const REMOVED_RESOURCES = 6;
const RESOURCE = { version: 1, resource: 2, name: 3 } as const;
const ANY = { typeUrl: 1, value: 2 } as const;

interface Memo {
  response: EncodedResponse | undefined;
}

/**
 * Encodes updates, each once for all streams: a shared response holds even its nonce, since nonces need only be
 * unique within one stream. What was encoded is kept for the next stream, within `keptBytes` in all, the least
 * recently used dropped first.
 */
export class ResponseEncoder {
  readonly #keptBytes: number;
  readonly #memos: Readonly<Record<Protocol, WeakMap<Update, Memo>>> = { sotw: new WeakMap(), delta: new WeakMap() };
  readonly #recent = new Map<Memo, number>();
  #recentBytes = 0;
  #serial = 0;

  constructor(options: { readonly keptBytes: number }) {
    this.#keptBytes = options.keptBytes;
  }

  /** The response for an update that other streams are likely to need too. */
  shared(protocol: Protocol, update: Update): EncodedResponse {
    const memos = this.#memos[protocol];
    let memo = memos.get(update);
    if (!memo) {
      memo = { response: undefined };
      memos.set(update, memo);
    }
    memo.response ??= this.once(protocol, update);
    this.#touch(memo, memo.response.bytes.length);
    return memo.response;
  }

  /** The response for an update of one stream alone; nothing of it is kept. */
  once(protocol: Protocol, update: Update): EncodedResponse {
    const serial = ++this.#serial;
    const nonce = serial.toString(36);
    const writer = new BinaryWriter();
    text(writer, VERSION, update.version);
    for (const resource of update.resources) {
      if (protocol === "sotw") anyField(writer, RESOURCES, update.typeUrl, resource);
      else resourceField(writer, update.typeUrl, resource);
    }
    text(writer, TYPE_URL_FIELD, update.typeUrl);
    if (protocol === "delta") for (const name of update.removed) text(writer, REMOVED_RESOURCES, name);
    text(writer, NONCE, nonce);
    return { typeUrl: update.typeUrl, bytes: asBuffer(writer.finish()), nonce, serial };
  }

  /**
   * The same response under a nonce of its own, and with further removed resources (delta). Appending is enough:
   * of a protobuf scalar that occurs twice the last counts, and repeated fields add up.
   */
  renewed(response: EncodedResponse, removed: readonly string[] = []): EncodedResponse {
    const serial = ++this.#serial;
    const nonce = serial.toString(36);
    const writer = new BinaryWriter();
    for (const name of removed) text(writer, REMOVED_RESOURCES, name);
    text(writer, NONCE, nonce);
    return { ...response, bytes: Buffer.concat([response.bytes, writer.finish()]), nonce, serial };
  }

  #touch(memo: Memo, size: number): void {
    if (this.#recent.delete(memo)) this.#recentBytes -= size;
    this.#recent.set(memo, size);
    this.#recentBytes += size;
    for (const [oldest, oldestSize] of this.#recent) {
      if (this.#recentBytes <= this.#keptBytes || oldest === memo) break;
      this.#recent.delete(oldest);
      this.#recentBytes -= oldestSize;
      oldest.response = undefined;
    }
  }
}

function asBuffer(bytes: Uint8Array<ArrayBuffer>): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function text(writer: BinaryWriter, field: number, value: string): void {
  writer.tag(field, WireType.LengthDelimited).string(value);
}

/** A `google.protobuf.Any` around bytes that are encoded already; the lengths are computed, so nothing is moved. */
function anyField(writer: BinaryWriter, field: number, typeUrl: string, { bytes }: EncodedResource): void {
  writer.tag(field, WireType.LengthDelimited).uint32(anySize(typeUrl, bytes));
  text(writer, ANY.typeUrl, typeUrl);
  writer.tag(ANY.value, WireType.LengthDelimited).uint32(bytes.length).raw(bytes);
}

function resourceField(writer: BinaryWriter, typeUrl: string, resource: EncodedResource): void {
  const size =
    delimitedSize(Buffer.byteLength(resource.name)) +
    delimitedSize(Buffer.byteLength(resource.version)) +
    delimitedSize(anySize(typeUrl, resource.bytes));
  writer.tag(RESOURCES, WireType.LengthDelimited).uint32(size);
  text(writer, RESOURCE.version, resource.version);
  anyField(writer, RESOURCE.resource, typeUrl, resource);
  text(writer, RESOURCE.name, resource.name);
}

function anySize(typeUrl: string, bytes: Uint8Array): number {
  return delimitedSize(typeUrl.length) + delimitedSize(bytes.length);
}

/** A length-delimited field with a one-byte tag (field numbers below 16): tag, length, content. */
function delimitedSize(length: number): number {
  let varint = 1;
  for (let rest = length >>> 7; rest > 0; rest >>>= 7) varint++;
  return 1 + varint + length;
}
