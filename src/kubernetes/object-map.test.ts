import assert from "node:assert/strict";
import { test } from "node:test";
import { objectMap } from "./object-map.ts";

const object = (name: string, uid: string, namespace = "shop") => ({ metadata: { name, namespace, uid } });

function follow() {
  const seen: string[] = [];
  const sink = objectMap(
    ({ metadata }) => metadata.uid,
    (values) => void seen.push([...values].map(([key, uid]) => `${key}=${uid}`).join(" ")),
  );
  return { sink, seen };
}

test("a list takes the place of all before it, once it was read to its end", () => {
  const { sink, seen } = follow();
  const first = sink.beginList();
  first.add([object("a", "1")]);
  first.add([object("b", "2"), object("b", "3", "bank")]);
  assert.deepEqual(seen, []);
  first.end();
  sink.beginList().add([object("broken off", "9")]);
  const second = sink.beginList();
  second.add([object("b", "2")]);
  second.end();
  assert.deepEqual(seen, ["shop/a=1 shop/b=2 bank/b=3", "shop/b=2"]);
});

test("objects come, change and go, those of a cluster without a namespace", () => {
  const { sink, seen } = follow();
  sink.apply({ type: "ADDED", object: object("a", "1") });
  sink.apply({ type: "ADDED", object: { metadata: { name: "node", uid: "2" } } });
  sink.apply({ type: "MODIFIED", object: object("a", "3") });
  sink.apply({ type: "DELETED", object: object("a", "3") });
  assert.deepEqual(seen, ["shop/a=1", "shop/a=1 /node=2", "shop/a=3 /node=2", "/node=2"]);
});
