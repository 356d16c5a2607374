import assert from "node:assert/strict";
import { test } from "node:test";
import { withinCpuMs } from "../../test/support/cpu-time.ts";
import { parseAnnotationYaml } from "./annotation-yaml.ts";

const source = "annotation proxy.istio.io/config";

test("YAML and JSON are read", () => {
  assert.deepEqual(parseAnnotationYaml("a: {b: [1, x]}", source), { a: { b: [1, "x"] } });
  assert.deepEqual(parseAnnotationYaml('{"a": {"b": null}}', source), { a: { b: null } });
  assert.equal(parseAnnotationYaml("", source), null);
});

const refused: readonly [title: string, text: string, message: RegExp][] = [
  [
    "a key that is there twice",
    "a: 1\nb: {c: 1, c: 2}",
    /: not YAML: Map keys must be unique, but "c" is there twice$/,
  ],
  ["an alias", "a: &x 1\nb: *x", /: not YAML: Alias resolution is disabled$/],
  ["what does not end", "a: [", /: not YAML: /],
  ["what nests without end", "[".repeat(16_000), /: not YAML: nested too deeply/],
  ["a long text", " ".repeat(16_385), /: has 16385 characters, which are more than 16384$/],
];
for (const [title, text, message] of refused) {
  test(`${title} is refused, naming the annotation`, () => {
    assert.throws(() => parseAnnotationYaml(text, source), { code: "invalid-argument", message });
    assert.throws(() => parseAnnotationYaml(text, source), /^TrysailError: annotation proxy\.istio\.io\/config: /);
  });
}

test("no text of the size that is allowed takes the parser long", () => {
  const worst = [
    Array.from({ length: 2_300 }, (_, index) => `k${index}: `).join("\n"),
    "#\n".repeat(8_000),
    "&a ".repeat(5_000),
    "? ".repeat(8_000),
    "- ".repeat(8_000),
  ];
  for (const text of worst) {
    withinCpuMs(1000, () => {
      try {
        parseAnnotationYaml(text, source);
      } catch {
        // Whether it is any good is not what is asked.
      }
    });
  }
});
