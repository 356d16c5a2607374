import { isDeepStrictEqual } from "node:util";
import {
  type Document,
  isCollection,
  isMap,
  isNode,
  isScalar,
  isSeq,
  type Node,
  type YAMLMap,
  type YAMLSeq,
} from "yaml";
import { isRecord } from "../mesh/conform.ts";

/**
 * A node that says `value` and keeps what it can of `node`: parts that say the same already, the order of keys, and
 * comments beside what they were written beside. Items of lists are told apart by their names.
 */
export function updateNode(document: Document, node: unknown, value: unknown): Node {
  if (!isNode(node)) return create(document, value);
  if (isDeepStrictEqual(node.toJS(document), value)) return node;
  if (isMap(node) && isRecord(value)) return updateMap(document, node, value);
  if (isSeq(node) && Array.isArray(value)) return updateSeq(document, node, value);
  const created = create(document, value);
  if (isScalar(node) && isScalar(created)) created.comment = node.comment;
  created.commentBefore = node.commentBefore;
  created.spaceBefore = node.spaceBefore;
  return created;
}

/** Written out wherever it stands: an anchor that nobody wrote would only be in the way of who reads it. */
function create(document: Document, value: unknown): Node {
  return document.createNode(value, { aliasDuplicateObjects: false });
}

function updateMap(document: Document, map: YAMLMap, value: Record<string, unknown>): Node {
  for (const key of [...map.items.map((pair) => keyOf(pair.key))]) {
    if (!Object.hasOwn(value, key)) map.delete(key);
  }
  for (const [key, field] of Object.entries(value)) map.set(key, updateNode(document, map.get(key, true), field));
  return styled(map);
}

function keyOf(key: unknown): string {
  return String(isScalar(key) ? key.value : key);
}

function updateSeq(document: Document, seq: YAMLSeq, value: readonly unknown[]): Node {
  const old = seq.items.map((item) => ({ item, name: nameOf(isNode(item) ? item.toJS(document) : item) }));
  const first = old[0]?.item;
  seq.items = value.map((wanted, index) => {
    const name = nameOf(wanted);
    const namesake = old.find((candidate) => candidate.name === name && name !== undefined);
    // One without a name is told by its place, even where it has been given one since.
    const known = namesake ?? (old[index]?.name === undefined ? old[index] : undefined);
    return updateNode(document, known?.item, wanted);
  });
  // What is written above the first item is the list's own to the parser, but was meant for that item.
  if (seq.commentBefore && isNode(first) && seq.items[0] !== first && seq.items.includes(first)) {
    first.commentBefore = seq.commentBefore;
    seq.commentBefore = undefined;
  }
  return styled(seq);
}

function nameOf(item: unknown): string | undefined {
  return isRecord(item) && typeof item.name === "string" ? item.name : undefined;
}

/** `{}` and `[]` are all that people write in one line because there is nothing in them. */
function styled(collection: YAMLMap | YAMLSeq): Node {
  const wasEmpty = collection.range && collection.range[1] - collection.range[0] <= 2;
  if (wasEmpty && isCollection(collection)) collection.flow = false;
  return collection;
}
