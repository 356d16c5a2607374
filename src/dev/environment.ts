import { TrysailError } from "../platform/errors.ts";
import { fieldValue, resourceValue } from "./downward-api.ts";
import type { Container } from "./pod.ts";
import type { RunningPod } from "./running-pod.ts";

/** ConfigMaps and Secrets of the pod's namespace, decoded; undefined where there is none. */
export interface ConfigLookup {
  configMap(namespace: string, name: string): ReadonlyMap<string, Buffer> | undefined;
  secret(namespace: string, name: string): ReadonlyMap<string, Buffer> | undefined;
}

/**
 * A container's environment as a kubelet builds it: the image's, then `envFrom` in order, then `env` in order, each
 * `$(NAME)` taken from what came before. Throws `failed-precondition` naming a ConfigMap, Secret or key that is missing.
 */
export function buildEnvironment(
  pod: RunningPod,
  container: Container,
  imageEnv: Readonly<Record<string, string>>,
  lookup: ConfigLookup,
): Map<string, string> {
  const namespace = pod.manifest.metadata.namespace;
  const env = new Map(Object.entries(imageEnv));
  for (const from of container.envFrom ?? []) {
    for (const [kind, ref] of [
      ["configMap", from.configMapRef],
      ["secret", from.secretRef],
    ] as const) {
      if (ref === undefined) continue;
      const data = lookup[kind](namespace, ref.name);
      if (data === undefined && ref.optional !== true) throw missing(kind, ref.name);
      for (const [key, value] of data ?? []) env.set(`${from.prefix ?? ""}${key}`, value.toString("utf8"));
    }
  }
  for (const entry of container.env ?? []) {
    const source = entry.valueFrom;
    let value: string | undefined;
    if (source === undefined) value = expand(entry.value ?? "", env);
    else if (source.fieldRef !== undefined) value = fieldValue(pod, source.fieldRef.fieldPath);
    else if (source.resourceFieldRef !== undefined) value = resourceValue(pod, source.resourceFieldRef, container.name);
    else {
      const kind = source.configMapKeyRef !== undefined ? "configMap" : "secret";
      const ref = source.configMapKeyRef ?? source.secretKeyRef;
      if (ref === undefined) continue;
      value = lookup[kind](namespace, ref.name)?.get(ref.key)?.toString("utf8");
      if (value === undefined && ref.optional !== true) throw missing(kind, ref.name, ref.key);
    }
    if (value !== undefined) env.set(entry.name, value);
  }
  return env;
}

/** `$(NAME)` becomes its value, `$$` a dollar; an unknown name stays as written (Kubernetes' rule). */
export function expand(text: string, env: ReadonlyMap<string, string>): string {
  return text.replace(/\$(?:\$|\(([^)]*)\))/g, (whole, name: string | undefined) =>
    whole === "$$" ? "$" : (env.get(name ?? "") ?? whole),
  );
}

function missing(kind: "configMap" | "secret", name: string, key?: string): TrysailError {
  const what = `${kind === "secret" ? "Secret" : "ConfigMap"} ${name}`;
  return new TrysailError("failed-precondition", key === undefined ? `${what} not found` : `${what} has no key ${key}`);
}
