import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { isRecord } from "../../src/mesh/conform.ts";
import { CHART, GATEWAY_CHART, helm, helmMissing, RATE_LIMIT_CHART } from "../support/helm.ts";

/** As a group is whose lines are all commented out: Helm takes its default away. */

const needed: Readonly<Record<string, readonly string[]>> = {
  [CHART]: [],
  [GATEWAY_CHART]: [],
  [RATE_LIMIT_CHART]: ["--set=inMemory=true", "--set=replicas=1"],
};
/** Helm's way to have no default limits, for instance. */
const FREE = /(^|\.)resources(\.|$)|^dashboards\.labels\.|^podAnnotations\./;

for (const [chart, more] of Object.entries(needed)) {
  test(`a value of ${basename(chart)} that is null is refused by name, or is the default where that is nothing`, {
    skip: helmMissing,
  }, async () => {
    const render = (...set: string[]) => helm("template", "a", chart, "--namespace=mesh", ...more, ...set);
    const plain = await render();
    const values: unknown = parse(readFileSync(join(chart, "values.yaml"), "utf8"));
    const all = paths(values, "").filter(([path]) => !FREE.test(path));
    assert.ok(all.length > 20, `${all.length} values`);
    for (const [path, isNothing] of all) {
      const rendered = render(`--set=${path}=null`);
      if (isNothing) assert.equal(await rendered, plain, path);
      else await assert.rejects(rendered, new RegExp(`missing property '${path.split(".").at(-1)}'`), path);
    }
  });
}

/** Each value and each group, and whether its default is to say nothing. */
function paths(value: unknown, path: string): [string, boolean][] {
  const below = isRecord(value)
    ? Object.entries(value).flatMap(([key, field]) => paths(field, path === "" ? key : `${path}.${key}`))
    : [];
  const isNothing = value === "" || (typeof value === "object" && value !== null && Object.keys(value).length === 0);
  return path === "" ? below : [[path, isNothing], ...below];
}
