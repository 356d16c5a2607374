import { isRecord } from "../mesh/conform.ts";
import type { Clock } from "../platform/clock.ts";
import { TrysailError } from "../platform/errors.ts";
import type { KubernetesConnection } from "./connection.ts";
import { type KubernetesObject, parseKubernetesObject } from "./object.ts";
import { type ApiRequest, createTransport, describe, type RequestMetrics, readJson } from "./transport.ts";
import { readWatchEvents, type WatchEvent } from "./watch-events.ts";

/**
 * Kubernetes' REST API, by paths that `resourcePath` makes. Everything rejects with a TrysailError, whose message may
 * quote the API server and belongs into the log: `not-found`, `already-exists`, `aborted` (a conflict: read again),
 * `permission-denied`, `unauthenticated`, `invalid-argument`, `failed-precondition` (too old a version to go on from),
 * `resource-exhausted` and `unavailable`.
 */
export interface KubernetesClient {
  /** Any document below a path, such as `/version` or `/apis/GROUP/VERSION`. */
  getDocument(path: string, options?: CallOptions & { readonly accept?: string }): Promise<Record<string, unknown>>;
  /** What the API server's clock says (`Date`), in milliseconds since the epoch, cut to whole seconds. */
  serverTime(): Promise<number>;
  get(path: string, options?: CallOptions): Promise<KubernetesObject>;
  /** Page by page, all of one moment; one page where `pageSize` is 0. */
  list(path: string, options?: ListOptions): AsyncGenerator<ListPage>;
  /** Answers what the server made of it, as in a TokenReview's status. */
  create(path: string, object: object, options?: CallOptions): Promise<KubernetesObject>;
  /** A conflict where `metadata.resourceVersion` is there and no longer the current one. */
  replace(path: string, object: object, options?: CallOptions): Promise<KubernetesObject>;
  patch(path: string, patch: Patch, options?: CallOptions): Promise<KubernetesObject>;
  /** With preconditions, a conflict where the object is another one by now. */
  delete(path: string, preconditions?: Preconditions, options?: CallOptions): Promise<void>;
  /** Resolves once the server has begun to watch; the events end where the server ends them, after `lifeSeconds` or earlier. */
  watch(path: string, options: WatchOptions): Promise<AsyncGenerator<WatchEvent>>;
  close(): void;
}

export interface CallOptions {
  readonly query?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export interface CollectionOptions extends CallOptions {
  /** Asks for nothing but `metadata`, of a kind of which the rest is not read. */
  readonly metadataOnly?: boolean;
}

export interface ListOptions extends CollectionOptions {
  readonly pageSize?: number;
}

export interface ListPage {
  readonly items: readonly KubernetesObject[];
  /** Of the whole list: a watch from here on misses nothing. */
  readonly resourceVersion: string;
  /** Whether another page follows. */
  readonly more: boolean;
}

/** https://kubernetes.io/docs/reference/using-api/api-concepts/#patch-and-apply; `apply` is server-side apply. */
export type Patch =
  | { readonly type: "json"; readonly operations: readonly object[] }
  | { readonly type: "merge" | "strategic"; readonly object: object }
  | { readonly type: "apply"; readonly object: object; readonly fieldManager: string; readonly force: boolean };

export interface Preconditions {
  readonly uid?: string;
  readonly resourceVersion?: string;
}

export interface WatchOptions extends CollectionOptions {
  /** Where to go on from; what came up to it is not told. */
  readonly resourceVersion: string;
  readonly lifeSeconds: number;
  /** How long the connection may be silent before it is taken for dead. */
  readonly silenceMs: number;
}

export interface KubernetesClientDeps {
  readonly connection: KubernetesConnection;
  readonly clock: Clock;
  readonly metrics?: RequestMetrics | undefined;
}

const ANSWER_MS = 30_000;
const PAGE_SIZE = 250;
const JSON_TYPE = "application/json";
const METADATA_ONLY = `${JSON_TYPE};g=meta.k8s.io;v=v1;as=PartialObjectMetadata`;

export function createKubernetesClient({ connection, clock, metrics }: KubernetesClientDeps): KubernetesClient {
  const limits = { clock, answerMs: ANSWER_MS };
  const transport = createTransport({ connection, ...limits, metrics });

  const call = async (api: ApiRequest): Promise<Record<string, unknown>> => {
    const document = await readJson(await transport(api), describe(api), limits);
    if (isRecord(document)) return document;
    throw new TrysailError("unavailable", `${describe(api)}: the answer is not a JSON object`);
  };
  const callForObject = async (api: ApiRequest) => parseKubernetesObject(await call(api), describe(api));

  return {
    getDocument: (path, options) => call({ method: "GET", path, ...options }),
    async serverTime() {
      const api = { method: "GET", path: "/version" } as const;
      const answer = await transport(api);
      answer.resume();
      const time = Date.parse(answer.headers.date ?? "");
      if (Number.isNaN(time)) throw new TrysailError("unavailable", `${describe(api)}: the answer says no time`);
      return time;
    },
    get: (path, options) => callForObject({ method: "GET", path, ...options }),
    create: (path, object, options) => callForObject({ method: "POST", path, body: object, ...options }),
    replace: (path, object, options) => callForObject({ method: "PUT", path, body: object, ...options }),
    patch: (path, patch, options) => callForObject({ method: "PATCH", path, ...withPatch(patch, options) }),
    async delete(path, preconditions, options) {
      const body = { apiVersion: "v1", kind: "DeleteOptions", ...(preconditions ? { preconditions } : {}) };
      await call({ method: "DELETE", path, body, ...options });
    },
    async *list(path, { pageSize = PAGE_SIZE, query, signal, metadataOnly = false } = {}) {
      const accept = metadataOnly ? `${METADATA_ONLY}List` : JSON_TYPE;
      let next = "";
      do {
        const paging = { ...(pageSize > 0 ? { limit: String(pageSize) } : {}), ...(next ? { continue: next } : {}) };
        const api = {
          method: "GET",
          path,
          accept,
          query: { ...query, ...paging },
          ...(signal ? { signal } : {}),
        } as const;
        const { items, metadata } = await call(api);
        if (!isRecord(metadata) || typeof metadata.resourceVersion !== "string" || !Array.isArray(items ?? [])) {
          throw new TrysailError("unavailable", `${describe(api)}: the answer is not a list`);
        }
        next = typeof metadata.continue === "string" ? metadata.continue : "";
        const listed: readonly unknown[] = Array.isArray(items) ? items : [];
        const objects = listed.map((item) => parseKubernetesObject(item, describe(api)));
        yield { items: objects, resourceVersion: metadata.resourceVersion, more: next !== "" };
      } while (next !== "");
    },
    async watch(path, { resourceVersion, lifeSeconds, silenceMs, query, signal, metadataOnly = false }) {
      const accept = metadataOnly ? METADATA_ONLY : JSON_TYPE;
      const watching = {
        watch: "1",
        resourceVersion,
        allowWatchBookmarks: "true",
        timeoutSeconds: String(lifeSeconds),
      };
      const api = {
        method: "GET",
        path,
        accept,
        query: { ...query, ...watching },
        ...(signal ? { signal } : {}),
      } as const;
      return readWatchEvents(await transport(api), { what: describe(api), clock, silenceMs });
    },
    close: () => connection.close(),
  };
}

const PATCH_TYPES: Readonly<Record<Patch["type"], string>> = {
  json: "application/json-patch+json",
  merge: "application/merge-patch+json",
  strategic: "application/strategic-merge-patch+json",
  apply: "application/apply-patch+yaml",
};

function withPatch(patch: Patch, options: CallOptions | undefined): Omit<ApiRequest, "method" | "path"> {
  const contentType = PATCH_TYPES[patch.type];
  if (patch.type === "json") return { ...options, contentType, body: patch.operations };
  if (patch.type !== "apply") return { ...options, contentType, body: patch.object };
  const query = { ...options?.query, fieldManager: patch.fieldManager, force: String(patch.force) };
  return { ...options, contentType, body: patch.object, query };
}
