/** What `build` makes of an object, made the first time that it is asked for, and kept for as long as the object is there. */
export function onceFor<K extends object, V>(build: (key: K) => V): (key: K) => V {
  const built = new WeakMap<K, V>();
  return (key) => {
    const known = built.get(key);
    if (known !== undefined) return known;
    const made = build(key);
    built.set(key, made);
    return made;
  };
}

/** The same of two objects: what was made is kept for as long as both are there. */
export function onceForBoth<A extends object, B extends object, V>(build: (a: A, b: B) => V): (a: A, b: B) => V {
  const builtWith = onceFor((_a: A) => new WeakMap<B, V>());
  return (a, b) => {
    const built = builtWith(a);
    const known = built.get(b);
    if (known !== undefined) return known;
    const made = build(a, b);
    built.set(b, made);
    return made;
  };
}
