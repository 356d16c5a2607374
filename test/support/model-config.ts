import {
  type EncodedResource,
  encodedResource,
  type ProxyResources,
  ResourceSet,
  TYPE_URL,
} from "../../src/xds/resource-set.ts";

/** A mesh small enough to enumerate: who refers to whom, and a revision that makes bytes differ. */
export interface ModelConfig {
  readonly clusters: Readonly<Record<string, { readonly revision: number; readonly endpoints: number }>>;
  readonly routes: Readonly<Record<string, { readonly revision: number; readonly refers: readonly string[] }>>;
  readonly listeners: Readonly<Record<string, { readonly revision: number; readonly refers: readonly string[] }>>;
}

/** A revision that a model proxy rejects. */
export const BAD_REVISION = 9;

/** What a model resource says: its name, its revision, and the names it refers to. */
export interface ModelResource {
  readonly name: string;
  readonly revision: number;
  readonly refers: readonly string[];
}

export function parseModelResource(bytes: Uint8Array): ModelResource {
  const [name = "", revision, ...refers] = Buffer.from(bytes).toString().split(" ");
  return { name, revision: Number(revision), refers };
}

/** The resources of a config. Types that have none at all are there, empty. */
export function modelResources(config: ModelConfig): ProxyResources {
  const clusters = Object.entries(config.clusters);
  const sets = [
    new ResourceSet(
      TYPE_URL.cluster,
      clusters.map(([name, { revision }]) => encoded(name, revision, [])),
    ),
    new ResourceSet(
      TYPE_URL.endpoint,
      clusters.map(([name, { endpoints }]) => encoded(name, endpoints, [])),
    ),
    new ResourceSet(TYPE_URL.listener, referring(config.listeners)),
    new ResourceSet(TYPE_URL.route, referring(config.routes)),
    new ResourceSet(TYPE_URL.secret, []),
  ];
  return new Map(sets.map((set) => [set.typeUrl, set]));
}

function referring(resources: ModelConfig["routes"]): EncodedResource[] {
  return Object.entries(resources).map(([name, { revision, refers }]) => encoded(name, revision, refers));
}

function encoded(name: string, revision: number, refers: readonly string[]): EncodedResource {
  return encodedResource(name, Buffer.from([name, revision, ...refers].join(" ")));
}
