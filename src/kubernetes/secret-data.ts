import { isRecord } from "../mesh/conform.ts";
import type { KubernetesObject } from "./object.ts";

/** One value of a Secret; undefined where it has none of that name. */
export function secretData(secret: KubernetesObject, name: string): Buffer | undefined {
  const { data } = secret;
  const value = isRecord(data) && Object.hasOwn(data, name) ? data[name] : undefined;
  return typeof value === "string" ? Buffer.from(value, "base64") : undefined;
}
