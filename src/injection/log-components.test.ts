import assert from "node:assert/strict";
import { test } from "node:test";
import { envoyMissing, startEnvoy } from "../../test/support/envoy.ts";
import { LOG_COMPONENTS } from "./log-components.ts";

test("these are the components that Envoy has", { skip: envoyMissing() }, async (t) => {
  const envoy = await startEnvoy(t, {}, { wait: "started" });
  const found = (await envoy.admin("/logging", "POST"))
    .split("\n")
    .flatMap((line) => /^ +(\w+):/.exec(line)?.[1] ?? []);
  assert.deepEqual([...LOG_COMPONENTS], found.toSorted());
});
