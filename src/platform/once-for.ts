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
