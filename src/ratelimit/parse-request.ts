import { create } from "@bufbuild/protobuf";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import {
  type RateLimitDescriptor,
  type RateLimitDescriptor_Entry,
  RateLimitDescriptor_EntrySchema,
  RateLimitDescriptorSchema,
} from "../gen/envoy/extensions/common/ratelimit/v3/ratelimit_pb.ts";
import { type RateLimitRequest, RateLimitRequestSchema } from "../gen/envoy/service/ratelimit/v3/rls_pb.ts";
import { TrysailError } from "../platform/errors.ts";

/**
 * Reads what Envoy asks. Its texts hold what callers sent, byte for byte, and are no UTF-8 where that is none: they must
 * be counted all the same, or whoever sends such a byte is limited by nothing. What cannot be read of them is replaced.
 *
 * @throws TrysailError `invalid-argument` where it is no RateLimitRequest.
 */
export function parseRateLimitRequest(bytes: Uint8Array): RateLimitRequest {
  try {
    const request = create(RateLimitRequestSchema);
    eachField(bytes, (field, reader) => {
      if (field === FIELD.domain) request.domain = reader.string(false);
      else if (field === FIELD.descriptors) request.descriptors.push(parseDescriptor(reader.bytes()));
      else if (field === FIELD.hitsAddend) request.hitsAddend = reader.uint32();
      else return false;
      return true;
    });
    return request;
  } catch (cause) {
    throw new TrysailError("invalid-argument", "not a RateLimitRequest", { cause });
  }
}

/** Numbers of fields, by message. */
const FIELD = {
  domain: RateLimitRequestSchema.field.domain.number,
  descriptors: RateLimitRequestSchema.field.descriptors.number,
  hitsAddend: RateLimitRequestSchema.field.hitsAddend.number,
  entries: RateLimitDescriptorSchema.field.entries.number,
  descriptorHits: RateLimitDescriptorSchema.field.hitsAddend.number,
  key: RateLimitDescriptor_EntrySchema.field.key.number,
  value: RateLimitDescriptor_EntrySchema.field.value.number,
};

/** Its own `limit` is left out: what the limits are, RateLimits say. */
function parseDescriptor(bytes: Uint8Array): RateLimitDescriptor {
  const descriptor = create(RateLimitDescriptorSchema);
  eachField(bytes, (field, reader) => {
    if (field === FIELD.entries) descriptor.entries.push(parseEntry(reader.bytes()));
    else if (field === FIELD.descriptorHits) descriptor.hitsAddend = parseWrapped(reader.bytes());
    else return false;
    return true;
  });
  return descriptor;
}

function parseEntry(bytes: Uint8Array): RateLimitDescriptor_Entry {
  const entry = create(RateLimitDescriptor_EntrySchema);
  eachField(bytes, (field, reader) => {
    if (field === FIELD.key) entry.key = reader.string(false);
    else if (field === FIELD.value) entry.value = reader.string(false);
    else return false;
    return true;
  });
  return entry;
}

/** The one field of a `google.protobuf.UInt64Value`. */
function parseWrapped(bytes: Uint8Array): bigint {
  let value = 0n;
  eachField(bytes, (field, reader) => {
    if (field !== 1) return false;
    value = BigInt(reader.uint64());
    return true;
  });
  return value;
}

/** `read` answers whether it took the field; what it leaves is passed over. */
function eachField(bytes: Uint8Array, read: (field: number, reader: BinaryReader) => boolean): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (!read(field, reader)) reader.skip(wireType, field);
  }
}
