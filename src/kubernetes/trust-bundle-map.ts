import { isRecord } from "../mesh/conform.ts";
import type { KubernetesClient } from "./client.ts";
import { listAll } from "./list-all.ts";
import type { KubernetesObject } from "./object.ts";
import { resourcePath } from "./resource-path.ts";

/** The ConfigMap that tells each namespace whom to trust. Pods mount it, the leader keeps it. */
export const TRUST_BUNDLE_MAP = "trysail-ca-root-cert";
export const TRUST_BUNDLE_KEY = "root-cert.pem";

/** What such a ConfigMap says, as PEM; empty where that is nothing. */
export function trustBundleIn({ data }: KubernetesObject): string {
  const text = isRecord(data) ? data[TRUST_BUNDLE_KEY] : undefined;
  return typeof text === "string" ? text : "";
}

/** What a namespace was told, as PEM; empty where it was told nothing. Listed, as the leader must be allowed to anyhow. */
export async function readTrustBundle(client: Pick<KubernetesClient, "list">, namespace: string): Promise<string> {
  const path = resourcePath({ apiVersion: "v1", resource: "configmaps", namespace });
  const maps = await listAll(client, path, { query: { fieldSelector: `metadata.name=${TRUST_BUNDLE_MAP}` } });
  return maps.map(trustBundleIn).join("");
}
