import { type AuthorityState, trustBundleOf } from "../ca/authority/authority-state.ts";
import {
  type AuthorityStore,
  authorityDocument,
  type EmptiedState,
  parseAuthorityDocument,
  type StoredState,
} from "../ca/authority/authority-store.ts";
import { TrysailError } from "../platform/errors.ts";
import type { KubernetesClient } from "./client.ts";
import type { KubernetesObject } from "./object.ts";
import { resourcePath } from "./resource-path.ts";
import { secretData } from "./secret-data.ts";

export interface SecretStoreDeps {
  readonly client: Pick<KubernetesClient, "get" | "create" | "replace">;
  readonly namespace: string;
  /** `trysail-ca-secret` unless a mesh has several control planes with roots of their own. */
  readonly name: string;
}

const DOCUMENT = "authority.json";
/** For people and scripts; nothing reads it back. */
const BUNDLE = "root-cert.pem";

/**
 * The authority of a cluster, in a Secret that every replica reads. Its `resourceVersion` is the revision: of several
 * replicas that save at once, the API server lets one through.
 */
export function createSecretStore({ client, namespace, name }: SecretStoreDeps): AuthorityStore {
  const address = { apiVersion: "v1", resource: "secrets", namespace };
  const where = `Secret ${namespace}/${name}`;

  const read = async (): Promise<KubernetesObject | undefined> => {
    try {
      return await client.get(resourcePath({ ...address, name }));
    } catch (error) {
      if (isOneOf(error, ["not-found"])) return undefined;
      throw error;
    }
  };
  const stored = (secret: KubernetesObject): StoredState | EmptiedState => {
    const text = secretData(secret, DOCUMENT)?.toString("utf8") ?? "";
    const state = text.trim() === "" ? null : parseAuthorityDocument(text, where);
    return { state, revision: secret.metadata.resourceVersion ?? "" };
  };
  const saved = (state: AuthorityState, { metadata }: KubernetesObject): StoredState => ({
    state,
    revision: metadata.resourceVersion ?? "",
  });

  return {
    name: where,
    async load() {
      const secret = await read();
      return secret === undefined ? undefined : stored(secret);
    },
    async save(state, replaces) {
      try {
        if (replaces === null) {
          return saved(state, await client.create(resourcePath(address), buildSecret({ namespace, name }, state)));
        }
        const before = await read();
        if (before?.metadata.resourceVersion !== replaces) return undefined;
        const secret = { ...before, ...buildSecret(before.metadata, state) };
        return saved(state, await client.replace(resourcePath({ ...address, name }), secret));
      } catch (error) {
        // Somebody else was first, or took it away.
        if (isOneOf(error, ["already-exists", "aborted", "not-found"])) return undefined;
        throw error;
      }
    },
  };
}

function buildSecret(metadata: object, state: AuthorityState) {
  const encode = (text: string): string => Buffer.from(text).toString("base64");
  return {
    apiVersion: "v1",
    kind: "Secret",
    type: "trysail.io/authority",
    metadata,
    data: { [DOCUMENT]: encode(authorityDocument(state)), [BUNDLE]: encode(trustBundleOf(state)) },
  };
}

function isOneOf(error: unknown, codes: readonly string[]): boolean {
  return error instanceof TrysailError && codes.includes(error.code);
}
