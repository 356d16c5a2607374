import { type NameSet, remembered } from "./name-set.ts";
import { type EncodedResource, ResourceSet, TYPE_URL, type TypeUrl } from "./resource-set.ts";

/**
 * What takes a proxy from one set to another. Those that `updateBetween` makes are the same object for the same two
 * sets, which is how a hundred streams come to share one encoded response.
 */
export interface Update {
  readonly typeUrl: TypeUrl;
  /** The version of the set that the proxy has after it. */
  readonly version: string;
  readonly resources: readonly EncodedResource[];
  readonly removed: readonly string[];
}

// Memos of pure functions over immutable sets; an entry lives as long as its sets do.
const updates = new WeakMap<ResourceSet, WeakMap<ResourceSet, Update>>();
const steps = new WeakMap<ResourceSet, WeakMap<ResourceSet, ResourceSet>>();
const unions = new WeakMap<ResourceSet, WeakMap<ResourceSet, ResourceSet>>();
const absences = new WeakMap<ResourceSet, WeakMap<NameSet, readonly string[]>>();
const selections = new WeakMap<ResourceSet, WeakMap<NameSet, ResourceSet>>();

const EMPTY: Readonly<Record<TypeUrl, ResourceSet>> = {
  [TYPE_URL.cluster]: new ResourceSet(TYPE_URL.cluster, []),
  [TYPE_URL.endpoint]: new ResourceSet(TYPE_URL.endpoint, []),
  [TYPE_URL.listener]: new ResourceSet(TYPE_URL.listener, []),
  [TYPE_URL.route]: new ResourceSet(TYPE_URL.route, []),
  [TYPE_URL.secret]: new ResourceSet(TYPE_URL.secret, []),
};

/** The one empty set of a type. */
export function emptySet(typeUrl: TypeUrl): ResourceSet {
  return EMPTY[typeUrl];
}

/** The resources that `to` adds or changes, and the names that it no longer has. */
export function updateBetween(from: ResourceSet, to: ResourceSet): Update {
  return remembered(updates, to, from, () => {
    const resources: EncodedResource[] = [];
    for (const [name, resource] of to.byName) {
      if (from.byName.get(name)?.version !== resource.version) resources.push(resource);
    }
    const removed = [...from.byName.keys()].filter((name) => !to.byName.has(name));
    return { typeUrl: to.typeUrl, version: to.version, resources, removed };
  });
}

/** Everything of `to`, as for a proxy that has nothing yet. */
export function wholeOf(to: ResourceSet): Update {
  return updateBetween(emptySet(to.typeUrl), to);
}

export function isEmpty(update: Update): boolean {
  return update.resources.length === 0 && update.removed.length === 0;
}

/** `to`, and what `from` has beyond it: the state between making the new and breaking the old. */
export function unionOf(from: ResourceSet, to: ResourceSet): ResourceSet {
  if (from === to) return to;
  return remembered(unions, from, to, () => {
    const update = updateBetween(from, to);
    if (update.removed.length === 0) return to;
    if (update.resources.length === 0) return from;
    return new ResourceSet(to.typeUrl, new Map([...from.byName, ...to.byName]).values());
  });
}

/**
 * How far towards `to` one response may take a proxy that has `from`: all the way, unless resources are to go that go
 * alone. The others are first, each of these has a response of its own, and what is gone is removed with the last.
 */
export function stepTowards(from: ResourceSet, to: ResourceSet): ResourceSet {
  return remembered(steps, from, to, () => {
    const { resources } = updateBetween(from, to);
    const alone = resources.filter(({ goesAlone }) => goesAlone === true);
    if (alone.length === 0 || resources.length === 1) return to;
    const next =
      alone.length === resources.length ? alone.slice(0, 1) : resources.filter((one) => !alone.includes(one));
    return new ResourceSet(
      to.typeUrl,
      new Map([...from.byName.values(), ...next].map((one) => [one.name, one])).values(),
    );
  });
}

/** The part of a set that has one of these names; the set itself where that is all of it. */
export function selectNames(set: ResourceSet, names: NameSet): ResourceSet {
  if (names.size === 0) return emptySet(set.typeUrl);
  return remembered(selections, set, names, () => {
    const selected: EncodedResource[] = [];
    for (const [name, resource] of set.byName) if (names.has(name)) selected.push(resource);
    return selected.length === set.byName.size ? set : new ResourceSet(set.typeUrl, selected);
  });
}

/** Those of the names that the set does not have. */
export function absentFrom(set: ResourceSet, names: NameSet): readonly string[] {
  return remembered(absences, set, names, () => [...names.names].filter((name) => !set.byName.has(name)));
}
