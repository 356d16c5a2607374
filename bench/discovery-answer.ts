import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";

/** What a proxy needs of a DiscoveryResponse or DeltaDiscoveryResponse, read without decoding its resources. */
export interface DiscoveryAnswer {
  readonly typeUrl: string;
  readonly nonce: string;
  /** Empty in the delta protocol, where resources have their own. */
  readonly version: string;
  /** The serialized resources, as they stand inside each Any. */
  resources(): Uint8Array[];
}

/** Field numbers from envoy/service/discovery/v3/discovery.proto. */
const SOTW = { version: 1, resource: 2, typeUrl: 4, nonce: 5 };
const DELTA = { version: 0, resource: 2, typeUrl: 4, nonce: 5 };
/** `Resource.resource` in the delta protocol, and `Any.value`. */
const DELTA_RESOURCE_ANY = 2;
const ANY_VALUE = 2;

export function readAnswer(message: Uint8Array, delta: boolean): DiscoveryAnswer {
  const fields = delta ? DELTA : SOTW;
  const resources: Uint8Array[] = [];
  let typeUrl = "";
  let nonce = "";
  let version = "";
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === fields.resource && wireType === WireType.LengthDelimited) resources.push(reader.bytes());
    else if (field === fields.typeUrl) typeUrl = reader.string();
    else if (field === fields.nonce) nonce = reader.string();
    else if (field === fields.version) version = reader.string();
    else reader.skip(wireType, field);
  }
  const body = (resource: Uint8Array) =>
    bytesField(delta ? bytesField(resource, DELTA_RESOURCE_ANY) : resource, ANY_VALUE);
  return { typeUrl, nonce, version, resources: () => resources.map(body) };
}

function bytesField(message: Uint8Array, wanted: number): Uint8Array {
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === wanted && wireType === WireType.LengthDelimited) return reader.bytes();
    reader.skip(wireType, field);
  }
  return new Uint8Array();
}
