import { isRecord } from "../mesh/conform.ts";
import { groupOf, type KindSchema } from "../mesh/schemas.ts";
import { TrysailError } from "../platform/errors.ts";
import type { KubernetesClient } from "./client.ts";

/** How the API server serves a kind. */
export interface ServedKind {
  readonly entry: KindSchema;
  readonly apiVersion: string;
  /** Its plural, such as `virtualservices`. */
  readonly resource: string;
}

/**
 * Which of some kinds the API server serves, each in the first of its versions that there is.
 * https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api
 */
export async function discoverKinds(
  client: Pick<KubernetesClient, "getDocument">,
  entries: readonly KindSchema[],
): Promise<readonly ServedKind[]> {
  const served = await servedGroupVersions(client);
  const documents = new Map<string, Promise<ReadonlyMap<string, string>>>();
  const resourcesOf = (apiVersion: string) => {
    const known = documents.get(apiVersion) ?? resourcesByKind(client, apiVersion);
    documents.set(apiVersion, known);
    return known;
  };
  const found: ServedKind[] = [];
  for (const entry of entries) {
    for (const apiVersion of entry.apiVersions) {
      if (!served.has(apiVersion)) continue;
      const resource = (await resourcesOf(apiVersion)).get(entry.kind);
      if (resource === undefined) continue;
      found.push({ entry, apiVersion, resource });
      break;
    }
  }
  return found;
}

/** Such as `networking.istio.io/v1`. */
async function servedGroupVersions(client: Pick<KubernetesClient, "getDocument">): Promise<ReadonlySet<string>> {
  const { groups } = await client.getDocument("/apis");
  if (!Array.isArray(groups))
    throw new TrysailError("unavailable", "GET /apis: the answer is not a list of API groups");
  const versions = groups.flatMap((group) => (isRecord(group) && Array.isArray(group.versions) ? group.versions : []));
  return new Set(
    versions.flatMap((version) =>
      isRecord(version) && typeof version.groupVersion === "string" ? [version.groupVersion] : [],
    ),
  );
}

async function resourcesByKind(
  client: Pick<KubernetesClient, "getDocument">,
  apiVersion: string,
): Promise<ReadonlyMap<string, string>> {
  try {
    const { resources } = await client.getDocument(`/apis/${apiVersion}`);
    const list: readonly unknown[] = Array.isArray(resources) ? resources : [];
    return new Map(
      list.flatMap((resource): [string, string][] => {
        if (!isRecord(resource) || typeof resource.kind !== "string" || typeof resource.name !== "string") return [];
        // Subresources, such as virtualservices/status, have their parent's kind.
        return resource.name.includes("/") ? [] : [[resource.kind, resource.name]];
      }),
    );
  } catch (error) {
    // Gone since the list of groups was read.
    if (error instanceof TrysailError && error.code === "not-found") return new Map();
    throw error;
  }
}

/** `virtualservices.networking.istio.io`, as RBAC rules and kubectl write it. */
export function qualifiedResource({ apiVersion, resource }: Pick<ServedKind, "apiVersion" | "resource">): string {
  const group = groupOf(apiVersion);
  return group === "" ? resource : `${resource}.${group}`;
}
