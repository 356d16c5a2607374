import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from "../../src/gen/envoy/service/discovery/v3/discovery_pb.ts";
import {
  type EncodedResource,
  encodedResource,
  type ProxyResources,
  ResourceSet,
  TYPE_URL,
  type TypeUrl,
} from "../../src/xds/resource-set.ts";

/** A response as the tests compare it: `resources` are "name=content". */
export interface SeenResponse {
  readonly typeUrl: string;
  readonly version: string;
  readonly nonce: string;
  readonly resources: readonly string[];
  readonly removed: readonly string[];
}

/** A resource whose bytes say its name and content, as a state-of-the-world response names nothing beside them. */
export function textResource(name: string, content: string): EncodedResource {
  return encodedResource(name, Buffer.from(`${name}=${content}`));
}

export function textSet(typeUrl: TypeUrl, contents: Readonly<Record<string, string>>): ResourceSet {
  return new ResourceSet(
    typeUrl,
    Object.entries(contents).map(([name, content]) => textResource(name, content)),
  );
}

/** One set for each type given by its short name; types not given are not ready. */
export function textSets(
  sets: Partial<Record<keyof typeof TYPE_URL, Readonly<Record<string, string>>>>,
): ProxyResources {
  const types = ["cluster", "endpoint", "listener", "route", "secret"] as const;
  return new Map(
    types.flatMap((type) => {
      const contents = sets[type];
      return contents ? [[TYPE_URL[type], textSet(TYPE_URL[type], contents)]] : [];
    }),
  );
}

export function sotwRequestBytes(request: MessageInitShape<typeof DiscoveryRequestSchema>): Buffer {
  return Buffer.from(toBinary(DiscoveryRequestSchema, create(DiscoveryRequestSchema, request)));
}

export function deltaRequestBytes(request: MessageInitShape<typeof DeltaDiscoveryRequestSchema>): Buffer {
  return Buffer.from(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, request)));
}

export function seenSotw(bytes: Uint8Array): SeenResponse {
  const { typeUrl, versionInfo, nonce, resources } = fromBinary(DiscoveryResponseSchema, bytes);
  const texts = resources.map(({ value }) => Buffer.from(value).toString());
  return { typeUrl, version: versionInfo, nonce, resources: texts, removed: [] };
}

export function seenDelta(bytes: Uint8Array): SeenResponse {
  const response = fromBinary(DeltaDiscoveryResponseSchema, bytes);
  const { typeUrl, systemVersionInfo, nonce, removedResources } = response;
  const texts = response.resources.map(({ resource }) => Buffer.from(resource?.value ?? []).toString());
  return { typeUrl, version: systemVersionInfo, nonce, resources: texts, removed: removedResources };
}
