/** What a record itself holds under a key that a user chose: never `Object`'s own `constructor` and the like. */
export function ownValue<V>(record: Readonly<Record<string, V>>, key: string): V | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}
