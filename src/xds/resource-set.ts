import { hash } from "node:crypto";

/** The types that ADS carries here, in the order in which Envoy wants them made. */
export const TYPE_URL = {
  cluster: "type.googleapis.com/envoy.config.cluster.v3.Cluster",
  endpoint: "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
  listener: "type.googleapis.com/envoy.config.listener.v3.Listener",
  route: "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
  secret: "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
} as const;

export type TypeUrl = (typeof TYPE_URL)[keyof typeof TYPE_URL];

/** One resource, encoded once. Equal `version` means equal bytes. */
export interface EncodedResource {
  readonly name: string;
  /** Hash of `bytes`, so that it is the same on every replica and after every restart. */
  readonly version: string;
  /** The serialized message itself, as it goes into `google.protobuf.Any.value`. */
  readonly bytes: Uint8Array;
  /**
   * It holds what nobody could check but the proxy. Envoy drops all of a response that comes behind a secret that it
   * refuses, and does not say which that was, so each of these goes in a response of its own.
   */
  readonly goesAlone?: true;
}

export function encodedResource(name: string, bytes: Uint8Array): EncodedResource {
  return { name, version: shortHash(bytes), bytes };
}

function shortHash(content: string | Uint8Array): string {
  return hash("sha1", content, "base64url").slice(0, 16);
}

/**
 * All resources of one type that one proxy (and every proxy like it) is served. Immutable: a change makes a new
 * set, and sets are compared by identity first, so that proxies with the same view share the same object and
 * whatever is derived from it.
 */
export class ResourceSet {
  readonly typeUrl: TypeUrl;
  readonly byName: ReadonlyMap<string, EncodedResource>;
  /** Hash over names and versions in name order. */
  readonly version: string;

  constructor(typeUrl: TypeUrl, resources: Iterable<EncodedResource>) {
    this.typeUrl = typeUrl;
    const sorted = [...resources].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
    this.byName = new Map(sorted.map((resource) => [resource.name, resource]));
    let text = "";
    for (const { name, version } of this.byName.values()) text += `${name}\0${version}\0`;
    this.version = shortHash(text);
  }
}

/**
 * What one proxy is served at one moment: a set for each type. Who asks for a type that has no set waits until there
 * is one; an empty set says that there is nothing. An endpoint resource has the name of its cluster.
 */
export type ProxyResources = ReadonlyMap<TypeUrl, ResourceSet>;
