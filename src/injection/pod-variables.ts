import type { NamedObject } from "./new-container.ts";

/** What values of a ProxyConfig may refer to as `$(NAME)`, for Istio's injector sets these in both containers. */
const FIELDS: ReadonlyMap<string, string> = new Map([
  ["POD_NAME", "metadata.name"],
  ["POD_NAMESPACE", "metadata.namespace"],
  ["INSTANCE_IP", "status.podIP"],
  ["SERVICE_ACCOUNT", "spec.serviceAccountName"],
  ["HOST_IP", "status.hostIP"],
]);

/** A variable that says what a field of the pod does. */
export function ofPod(name: string, fieldPath: string): NamedObject {
  return { name, valueFrom: { fieldRef: { fieldPath } } };
}

/** The variables that `texts` refer to, which Kubernetes fills in only where they come first. */
export function variablesIn(texts: readonly string[]): readonly NamedObject[] {
  const used = [...FIELDS].filter(([name]) => texts.some((text) => text.includes(`$(${name})`)));
  return used.map(([name, fieldPath]) => ofPod(name, fieldPath));
}

/** A variable that says exactly `value`: Kubernetes expands `$(NAME)` and reads `$$` as a dollar. */
export function literal(name: string, value: string): NamedObject {
  return { name, value: value.includes("$") ? value.replaceAll("$", "$$$$") : value };
}

/** A variable that says `value`, with what it refers to filled in. */
export function expanded(name: string, value: string): NamedObject {
  if (!value.includes("$")) return { name, value };
  const escaped = value.replaceAll("$", "$$$$");
  const known = escaped.replaceAll(/\$\$\(([A-Z_]+)\)/g, (whole, variable) =>
    FIELDS.has(variable) ? `$(${variable})` : whole,
  );
  return { name, value: known };
}
