import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDownwardMap } from "./downward-map.ts";

test("labels and annotations are read as Go quotes them", () => {
  const text = 'app="web"\nnote="a \\"b\\" \\\\ c\\n\\ttab é \\u00e9 \\x07 \\U0001f600 $(X)"\nempty=""\na/b.c="k=v"';
  assert.deepEqual(parseDownwardMap(text, "labels"), {
    app: "web",
    note: 'a "b" \\ c\n\ttab é é \x07 😀 $(X)',
    empty: "",
    "a/b.c": "k=v",
  });
});

test("an empty file is an empty map", () => {
  assert.deepEqual(parseDownwardMap("", "labels"), {});
  assert.deepEqual(parseDownwardMap("\n", "labels"), {});
});

test("a line of another form is refused by file and line", () => {
  for (const line of ["app", "app=web", 'app="web', 'app="a"b"', '="x"']) {
    assert.throws(() => parseDownwardMap(`a="b"\n${line}`, "/etc/labels"), /\/etc\/labels: line 2 is not of the form/);
  }
});

test("keys that name prototypes are keys", () => {
  const map = parseDownwardMap('__proto__="x"', "labels");
  assert.deepEqual(Object.keys(map), ["__proto__"]);
});
