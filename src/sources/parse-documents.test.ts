import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { defaultFolderLimits } from "./limits.ts";
import { type ParsedDocument, parseDocuments } from "./parse-documents.ts";
import { splitDocuments } from "./split-documents.ts";

function parse(text: string, before: readonly ParsedDocument[] = []): Promise<ParsedDocument[]> {
  const kept = before.flatMap(({ objects }) => objects);
  return parseDocuments("/mesh/a.yaml", text, { documents: before, kept }, defaultFolderLimits);
}

async function namesIn(text: string): Promise<string[]> {
  return (await parse(text)).flatMap(({ objects }) => objects.map(({ metadata }) => metadata.name));
}

async function findingsIn(text: string) {
  return (await parse(text)).flatMap(({ findings }) => findings);
}

const yaml = (name: string) => `apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: ${name}\n`;
const json = (name: string) => JSON.stringify({ apiVersion: "v1", kind: "ServiceAccount", metadata: { name } });
const pretty = (name: string) =>
  JSON.stringify({ apiVersion: "v1", kind: "ServiceAccount", metadata: { name } }, null, 2);
const flow = (name: string) =>
  `{apiVersion: v1, kind: ServiceAccount, metadata: {name: ${name}, annotations: {a: 'it''s {'}}}`;

const layouts: [what: string, text: string, names: string[]][] = [
  ["nothing", "", []],
  ["comments and markers only", "# a\n---\n\n--- # b\n...\n# c", []],
  ["one YAML document", yaml("a"), ["a"]],
  ["markers in front, between and behind", `---\n${yaml("a")}---\n---\n${yaml("b")}---\n`, ["a", "b"]],
  ["end markers and directives", `%YAML 1.2\n---\n${yaml("a")}...\n---\n${yaml("b")}`, ["a", "b"]],
  ["a byte-order mark and CRLF", `\ufeff${yaml("a")}---\n${yaml("b")}`.replaceAll("\n", "\r\n"), ["a", "b"]],
  ["JSON in many lines", pretty("a"), ["a"]],
  ["one JSON value a line", `${json("a")}\n${json("b")}\n\n${json("c")}`, ["a", "b", "c"]],
  ["JSON values in one line", `${json("a")}${json("b")} ${json("c")}`, ["a", "b", "c"]],
  ["JSON values of many lines in a row", `${pretty("a")}\n${pretty("b")}`, ["a", "b"]],
  ["comments in front of JSON", `# generated\n${json("a")}\n${json("b")}`, ["a", "b"]],
  ["JSON and YAML by turns", `${json("a")}\n---\n${yaml("b")}---\n${pretty("c")}`, ["a", "b", "c"]],
  ["YAML's flow style", `${flow("a")}\n---\n${flow("b")}`, ["a", "b"]],
  ["content behind a marker", `--- ${json("a")}\n--- # nothing\n${yaml("b")}`, ["a", "b"]],
  [
    "a marker inside of a text, indented",
    `${yaml("a")}  annotations:\n    a: |\n      ---\n      b\n---\n${yaml("b")}`,
    ["a", "b"],
  ],
  ["a line that only begins like a marker", `${yaml("a")}---a: 1\n`, ["a"]],
  ["merge keys", `x: &x {app: a}\n${yaml("a")}  labels:\n    <<: *x\n`, ["a"]],
];

for (const [what, text, names] of layouts) {
  test(`reads ${what}`, async () => assert.deepEqual(await namesIn(text), names));
}

test("numbers follow Kubernetes' reader, octal ones too, and text that YAML 1.1 took for a truth value stays text", async () => {
  const [document] = await parse(
    "apiVersion: v1\nkind: Service\nmetadata: {name: a, labels: {on: yes}}\nspec: {ports: [], mode: 0644}",
  );
  assert.deepEqual(document?.findings, []);
  const [object] = document?.objects ?? [];
  assert.ok(object?.kind === "Service");
  assert.deepEqual({ ...object.metadata.labels }, { on: "yes" });
  assert.equal(Reflect.get(object.spec, "mode"), 0o644);
});

const malformed: [what: string, text: string, line: number, reason: RegExp][] = [
  ["bad indentation", "a: 1\n b: 2", 1, /./],
  ["a key twice", "a: 1\nb: 1\na: 2", 3, /the key "a" twice/],
  ["a key twice, deep inside", "a:\n- b: 1\n  b: 2", 3, /the key "b" twice/],
  ["an unknown alias", "a: *b", 1, /alias/i],
  ["a mapping as a key", "{a: 1}: 2", 1, /key that is not plain text/],
  ["an open quote", 'a: "b\n', 2, /closing double quote/],
  ["JSON that ends early", '{"a": 1', 1, /./],
  ["a tab for indentation", "a:\n\tb: 1", 2, /tab/i],
];

for (const [what, text, line, reason] of malformed) {
  test(`reports ${what}, and where`, async () => {
    const before = "# first\n---\nkind: ServiceAccount\napiVersion: v1\nmetadata: {name: a}\n---\n";
    const documents = await parse(before + text);
    assert.deepEqual(
      documents.map(({ objects }) => objects.length),
      [1, 0],
    );
    const [finding] = documents[1]?.findings ?? [];
    assert.equal(finding?.code, "document-malformed");
    assert.deepEqual(finding?.origin, { file: "/mesh/a.yaml", document: 2 });
    assert.match(finding?.message ?? "", new RegExp(`^document 2, line ${line + 6}: `));
    assert.match(finding?.message ?? "", reason);
  });
}

test("a broken document's text is not in its finding, for it may be a secret", async () => {
  for (const text of [
    'a: "b" hunter2',
    "stringData:\n  p: hunter2: x",
    "hunter2: 1\n]hunter2",
    '{"p": "hunter2" "hunter2"}',
    "a: !hunter2 x\n- b",
  ]) {
    const findings = await findingsIn(text);
    assert.ok(findings.length > 0, text);
    assert.doesNotMatch(JSON.stringify(findings), /hunter2/, text);
  }
});

const tooMuch: [what: string, text: string][] = [
  ["a JSON document of 5 MB", JSON.stringify({ data: "x".repeat(5_000_000) })],
  ["a YAML document of 5 MB", `data: ${"x".repeat(5_000_000)}`],
  ["lists in lists, JSON", "[".repeat(100_000) + "]".repeat(100_000)],
  ["lists in lists, never closed", "[".repeat(200_000)],
  ["lists in lists, in block style", "- ".repeat(50_000)],
  ["mappings in mappings", "{a: ".repeat(100_000)],
  ["a document that holds itself", "a: &a\n  b: *a"],
  [
    "an alias bomb",
    `a: &a [x,x,x,x,x,x,x,x,x]\n${[..."bcdefghij"].map((key, at) => `${key}: &${key} [${`*${"abcdefghi"[at]},`.repeat(9)}]`).join("\n")}`,
  ],
  ["many keys", Array.from({ length: 60_000 }, (_, at) => `k${at}: v`).join("\n")],
  ["many errors", "&a ".repeat(100_000)],
];

for (const [what, text] of tooMuch) {
  test(`survives ${what}, beside one that is right`, { timeout: 60_000 }, async () => {
    const documents = await parse(`${text}\n---\n${yaml("a")}`);
    assert.deepEqual(
      documents.flatMap(({ objects }) => objects.map(({ metadata }) => metadata.name)),
      ["a"],
    );
    const [finding] = documents[0]?.findings ?? [];
    assert.equal(finding?.severity, "error");
  });
}

const good = fc
  .tuple(
    fc.constantFrom(yaml, json, pretty, flow),
    fc.integer({ min: 0, max: 99 }).map((n) => `ok-${n}`),
  )
  .map(([write, name]) => ({ text: write(name), name }));
/** Anything, short of what ends a document. */
const anything = fc.oneof(
  fc.string({ unit: "binary", maxLength: 60 }),
  fc.string({ unit: fc.constantFrom(..."{}[]:,-\"'#&*!|>%@ \t\na0\\?"), maxLength: 60 }),
  fc.constantFrom(yaml("x"), pretty("x")).chain((text) => fc.nat(text.length).map((end) => text.slice(0, end))),
);
const bad = anything.filter((text) => !/^(---|\.\.\.)/m.test(text));

test("whatever one document holds, its neighbours are read and nothing throws", async () => {
  await fc.assert(
    fc.asyncProperty(good, bad, good, async (first, text, last) => {
      const names = await namesIn(`${first.text}\n---\n${text}\n---\n${last.text}`);
      assert.equal(names[0], first.name);
      assert.equal(names.at(-1), last.name);
    }),
    { numRuns: 400 },
  );
});

test("whatever one line of JSON lines holds, the lines around it are read", async () => {
  const line = fc.oneof(
    fc.nat(json("x").length - 1).map((end) => json("x").slice(0, end)),
    fc
      .tuple(fc.nat(json("x").length), fc.constantFrom('"', "{", "}", "]", "[", ",", "x", "\\"))
      .map(([at, char]) => json("x").slice(0, at) + char + json("x").slice(at)),
  );
  await fc.assert(
    fc.asyncProperty(line, async (text) => {
      const names = await namesIn(`${json("a")}\n${text}\n${json("b")}\n${json("c")}\n`);
      assert.equal(names[0], "a");
      assert.deepEqual(names.slice(-2), ["b", "c"]);
    }),
    { numRuns: 300 },
  );
});

test("no text at all can make it throw, and what is split out covers every line that has content", async () => {
  await fc.assert(
    fc.asyncProperty(anything, async (text) => {
      await parse(text);
      const lines = text.split("\n").length;
      for (const document of splitDocuments(text)) assert.ok(document.line >= 1 && document.line <= lines);
    }),
    { numRuns: 400 },
  );
});

test("what did not change keeps its identity, through edits, moves and new layout", async () => {
  const first = await parse(`${yaml("a")}---\n${yaml("b")}---\n${yaml("c")}`);
  const objectOf = (documents: ParsedDocument[], name: string) =>
    documents.flatMap(({ objects }) => objects).find(({ metadata }) => metadata.name === name);

  const edited = await parse(`${yaml("a")}---\n${yaml("b")}  labels: {x: y}\n---\n# a comment\n${yaml("c")}`, first);
  assert.equal(objectOf(edited, "a"), objectOf(first, "a"));
  assert.notEqual(objectOf(edited, "b"), objectOf(first, "b"));
  assert.equal(objectOf(edited, "c"), objectOf(first, "c"));

  const moved = await parse(`${yaml("new")}---\n${yaml("a")}---\n${yaml("b")}`, first);
  assert.equal(objectOf(moved, "a")?.metadata, objectOf(first, "a")?.metadata);
  assert.deepEqual(objectOf(moved, "a")?.origin, { file: "/mesh/a.yaml", document: 2 });
});

test("a broken document that moves is reported at its new place", async () => {
  const first = await parse(`${yaml("a")}---\na: b: c\n`);
  const second = await parse(`${yaml("a")}---\n\n\na: b: c\n`, first);
  const third = await parse(`${yaml("a")}---\n${yaml("b")}---\n\n\na: b: c\n`, second);
  assert.match(second[1]?.findings[0]?.message ?? "", /^document 2, line 8: /);
  assert.match(third[2]?.findings[0]?.message ?? "", /^document 3, line 13: /);
});
