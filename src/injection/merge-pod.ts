/**
 * Kubernetes' strategic merge: mappings are merged, lists of things with an identity by that identity, all other lists
 * and values replaced. `null` takes a field away, `$patch: delete` an item, `$patch: replace` keeps nothing of the old.
 * https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md
 */
export function mergePod(base: unknown, patch: unknown, field = ""): unknown {
  if (Array.isArray(patch)) {
    const identity = IDENTITY.get(field);
    const isKeyed = identity !== undefined && patch.every(isMapping);
    return isKeyed ? mergeList(Array.isArray(base) ? base : [], patch, identity) : patch;
  }
  if (!isMapping(patch)) return patch;
  if (!isMapping(base) && isPlain(patch)) return patch;
  const { [DIRECTIVE]: directive, ...fields } = patch;
  const old = isMapping(base) && directive !== "replace" ? withoutAlternatives(base, fields) : {};
  const changed = Object.entries(fields).map(([name, value]): [string, unknown] => [
    name,
    mergePod(Object.hasOwn(old, name) ? old[name] : undefined, value, name),
  ]);
  const merged: Mapping = { ...old, ...Object.fromEntries(changed) };
  // What was null before is what the user wrote; only the patch's nulls take away.
  const removed = changed.filter(([, value]) => value === null).map(([name]) => name);
  if (removed.length === 0) return merged;
  return Object.fromEntries(Object.entries(merged).filter(([name]) => !removed.includes(name)));
}

/** Fields of which Kubernetes takes one: how a probe or hook acts, and where a variable's value comes from. */
const ALTERNATIVES = [
  ["exec", "grpc", "httpGet", "sleep", "tcpSocket"],
  ["value", "valueFrom"],
];

/** Who writes one of several alternatives means it in place of the others. */
function withoutAlternatives(base: Mapping, patch: Mapping): Mapping {
  const isSet = (name: string) => Object.hasOwn(patch, name) && patch[name] !== null;
  const replaced = ALTERNATIVES.filter((names) => names.some(isSet)).flat();
  const dropped = replaced.filter((name) => Object.hasOwn(base, name) && !Object.hasOwn(patch, name));
  if (dropped.length === 0) return base;
  return Object.fromEntries(Object.entries(base).filter(([name]) => !dropped.includes(name)));
}

/** Whether nothing in it speaks about what it is merged over, so that it can be shared as it is. */
function isPlain(value: unknown): boolean {
  if (Array.isArray(value)) return value.every(isPlain);
  if (!isMapping(value)) return value !== null;
  return Object.keys(value).every((name) => name !== DIRECTIVE && isPlain(value[name]));
}

const DIRECTIVE = "$patch";

/** How the items of a list are told apart: `patchMergeKey` in Kubernetes' API, and for ports the protocol as well. */
const IDENTITY: ReadonlyMap<string, (item: Mapping) => unknown> = new Map([
  ["containers", ({ name }: Mapping) => name],
  ["env", ({ name }) => name],
  ["ephemeralContainers", ({ name }) => name],
  ["hostAliases", ({ ip }) => ip],
  ["imagePullSecrets", ({ name }) => name],
  ["initContainers", ({ name }) => name],
  ["ports", ({ containerPort, protocol }) => `${containerPort}/${protocol ?? "TCP"}`],
  ["resourceClaims", ({ name }) => name],
  ["sysctls", ({ name }) => name],
  ["topologySpreadConstraints", ({ topologyKey }) => topologyKey],
  ["volumeDevices", ({ devicePath }) => devicePath],
  ["volumeMounts", ({ mountPath }) => mountPath],
  ["volumes", ({ name }) => name],
]);

type Mapping = Readonly<Record<string, unknown>>;

/** Known items stay where they are, new ones come last. */
function mergeList(
  base: readonly unknown[],
  patch: readonly Mapping[],
  identity: (item: Mapping) => unknown,
): unknown[] {
  const merged = [...base];
  for (const item of patch) {
    const at = merged.findIndex((old) => isMapping(old) && identity(old) === identity(item));
    if (item[DIRECTIVE] === "delete") {
      if (at >= 0) merged.splice(at, 1);
    } else if (at >= 0) merged[at] = mergePod(merged[at], item);
    else merged.push(mergePod(undefined, item));
  }
  return merged;
}

function isMapping(value: unknown): value is Mapping {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
