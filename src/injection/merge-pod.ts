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
  const old = isMapping(base) && patch[DIRECTIVE] !== "replace" ? withoutAlternatives(base, patch) : {};
  const merged: Record<string, unknown> = { ...old };
  const removed: string[] = [];
  for (const name of Object.keys(patch)) {
    if (name === DIRECTIVE) continue;
    const value = mergePod(Object.hasOwn(old, name) ? old[name] : undefined, patch[name], name);
    // What was null before is what the user wrote; only the patch's nulls take away.
    if (value === null) removed.push(name);
    else setOwn(merged, name, value);
  }
  return removed.length === 0 ? merged : without(merged, removed);
}

/** An assignment would make `__proto__`, a key like any other here, the object's prototype. */
function setOwn(into: Record<string, unknown>, name: string, value: unknown): void {
  if (name !== "__proto__") into[name] = value;
  else Object.defineProperty(into, name, { value, enumerable: true, configurable: true, writable: true });
}

function without(mapping: Mapping, names: readonly string[]): Mapping {
  return Object.fromEntries(Object.entries(mapping).filter(([name]) => !names.includes(name)));
}

/** Fields of which Kubernetes takes one: how a probe or hook acts, and where a variable's value comes from. */
const ALTERNATIVES = [
  ["exec", "grpc", "httpGet", "sleep", "tcpSocket"],
  ["value", "valueFrom"],
];

/** Who writes one of several alternatives means it in place of the others. */
function withoutAlternatives(base: Mapping, patch: Mapping): Mapping {
  const isSet = (name: string) => Object.hasOwn(patch, name) && patch[name] !== null;
  let dropped: readonly string[] = [];
  for (const names of ALTERNATIVES) {
    if (names.some(isSet)) dropped = [...dropped, ...names.filter((name) => !Object.hasOwn(patch, name))];
  }
  return dropped.some((name) => Object.hasOwn(base, name)) ? without(base, dropped) : base;
}

/** Whether nothing in it speaks about what it is merged over, so that it can be shared as it is. */
function isPlain(value: unknown): boolean {
  if (Array.isArray(value)) return value.every(isPlain);
  if (!isMapping(value)) return value !== null;
  for (const name of Object.keys(value)) if (name === DIRECTIVE || !isPlain(value[name])) return false;
  return true;
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
  const places = new Map<unknown, number>();
  for (const [index, item] of base.entries()) {
    if (isMapping(item) && !places.has(identity(item))) places.set(identity(item), index);
  }
  const deleted = new Set<number>();
  for (const item of patch) {
    const at = places.get(identity(item));
    if (item[DIRECTIVE] === "delete") {
      if (at !== undefined) deleted.add(at);
      places.delete(identity(item));
    } else if (at !== undefined) merged[at] = mergePod(merged[at], item);
    else places.set(identity(item), merged.push(mergePod(undefined, item)) - 1);
  }
  return deleted.size === 0 ? merged : merged.filter((_, index) => !deleted.has(index));
}

function isMapping(value: unknown): value is Mapping {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
