import { isRecord } from "../mesh/conform.ts";
import { TRUST_BUNDLE_KEY } from "../platform/trust-bundle.ts";
import type { KubernetesObject } from "./object.ts";

/** What a ConfigMap with the trust bundle says, as PEM; empty where that is nothing. */
export function trustBundleIn({ data }: KubernetesObject): string {
  const text = isRecord(data) ? data[TRUST_BUNDLE_KEY] : undefined;
  return typeof text === "string" ? text : "";
}
