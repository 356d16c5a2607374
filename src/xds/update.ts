import { onceForBoth } from "../platform/once-for.ts";
import type { NameSet } from "./name-set.ts";
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
  return updateTo(to, from);
}

/** `to` comes first, since the empty set that most begin with never goes, and neither would its list of all that came behind it. */
const updateTo = onceForBoth((to: ResourceSet, from: ResourceSet): Update => {
  const resources: EncodedResource[] = [];
  for (const [name, resource] of to.byName) {
    if (from.byName.get(name)?.version !== resource.version) resources.push(resource);
  }
  const removed = [...from.byName.keys()].filter((name) => !to.byName.has(name));
  return { typeUrl: to.typeUrl, version: to.version, resources, removed };
});

/** Everything of `to`, as for a proxy that has nothing yet. */
export function wholeOf(to: ResourceSet): Update {
  return updateBetween(emptySet(to.typeUrl), to);
}

export function isEmpty(update: Update): boolean {
  return update.resources.length === 0 && update.removed.length === 0;
}

/** `to`, and what `from` has beyond it: the state between making the new and breaking the old. */
export function unionOf(from: ResourceSet, to: ResourceSet): ResourceSet {
  return from === to ? to : unionOfTwo(from, to);
}

const unionOfTwo = onceForBoth((from: ResourceSet, to: ResourceSet): ResourceSet => {
  const update = updateBetween(from, to);
  if (update.removed.length === 0) return to;
  if (update.resources.length === 0) return from;
  return new ResourceSet(to.typeUrl, new Map([...from.byName, ...to.byName]).values());
});

/**
 * How far towards `to` one response may take a proxy that has `from`: all the way, unless resources are to go that go
 * alone. The others are first, each of these has a response of its own, and what is gone is removed with the last.
 */
export const stepTowards = onceForBoth((from: ResourceSet, to: ResourceSet): ResourceSet => {
  const { resources } = updateBetween(from, to);
  const alone = resources.filter(({ goesAlone }) => goesAlone === true);
  if (alone.length === 0 || resources.length === 1) return to;
  const next = alone.length === resources.length ? alone.slice(0, 1) : resources.filter((one) => !alone.includes(one));
  return new ResourceSet(
    to.typeUrl,
    new Map([...from.byName.values(), ...next].map((one) => [one.name, one])).values(),
  );
});

/** The part of a set that has one of these names; the set itself where that is all of it. */
export function selectNames(set: ResourceSet, names: NameSet): ResourceSet {
  return names.size === 0 ? emptySet(set.typeUrl) : selectSome(set, names);
}

const selectSome = onceForBoth((set: ResourceSet, names: NameSet): ResourceSet => {
  const selected: EncodedResource[] = [];
  for (const [name, resource] of set.byName) if (names.has(name)) selected.push(resource);
  return selected.length === set.byName.size ? set : new ResourceSet(set.typeUrl, selected);
});

/** Those of the names that the set does not have. */
export const absentFrom = onceForBoth((set: ResourceSet, names: NameSet): readonly string[] =>
  [...names.names].filter((name) => !set.byName.has(name)),
);
