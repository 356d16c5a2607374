import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { PROXY_CONFIG_FIELDS, type ProxyConfigField } from "../mesh/istio/proxy-config-fields.ts";
import { ANNOTATION } from "./annotations.ts";
import { LABEL } from "./labels.ts";

/**
 * docs/injection.md lists what the code reads, from the tables the code reads by. `UPDATE_DOCS=1 node --test FILE` writes
 * the lists anew.
 */

const file = new URL("../../docs/injection.md", import.meta.url);

function markdown(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(heading), line(heading.map(() => "---")), ...rows.map(line)].join("\n");
}

const tables: Readonly<Record<string, () => string>> = {
  annotations: () =>
    markdown(
      ["annotation", "value", "default", "effect"],
      Object.values(ANNOTATION).map(({ name, type, fallback = "", effect, without }) => [
        `\`${name}\``,
        type,
        fallback,
        without === undefined ? effect : `none: ${without}`,
      ]),
    ),
  labels: () =>
    markdown(
      ["label", "on", "value", "default", "effect"],
      Object.values(LABEL).map(({ name, on, type, fallback = "", effect }) => [
        `\`${name}\``,
        on,
        type,
        fallback,
        effect,
      ]),
    ),
  "proxy-config": () =>
    markdown(
      ["field of ProxyConfig", "effect"],
      Object.entries<ProxyConfigField>(PROXY_CONFIG_FIELDS).map(([name, { by, effect }]) => [
        `\`${name}\``,
        by === "nobody" ? `none: ${effect}` : effect,
      ]),
    ),
};

for (const [name, build] of Object.entries(tables)) {
  test(`docs/injection.md lists the ${name} that the code knows`, () => {
    const text = readFileSync(file, "utf8");
    const [begin, end] = [`<!-- ${name}: begin -->\n`, `\n<!-- ${name}: end -->`];
    const from = text.indexOf(begin) + begin.length;
    const to = text.indexOf(end);
    assert.ok(from >= begin.length && to >= from, `docs/injection.md has no place for the ${name}`);
    const table = build();
    if (process.env.UPDATE_DOCS === "1") writeFileSync(file, text.slice(0, from) + table + text.slice(to));
    assert.equal(text.slice(from, to), table, "run this test with UPDATE_DOCS=1 and review the difference");
  });
}

test("each annotation and label stands in one entry", () => {
  for (const table of [ANNOTATION, LABEL]) {
    const names = Object.values(table).map(({ name }) => name);
    assert.equal(new Set(names).size, names.length);
  }
});
