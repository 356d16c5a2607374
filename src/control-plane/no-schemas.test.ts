import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import { Registry } from "prom-client";
import { createMonitoringServer } from "./monitoring-server.ts";

test("a server loads no compiler for JSON schemas, and refuses a route that has one", async (t) => {
  const app = createMonitoringServer(new Registry());
  t.after(() => app.close());
  const loaded = Object.keys(createRequire(import.meta.url).cache);
  assert.ok(loaded.some((path) => path.includes("/fastify/")));
  assert.deepEqual(
    loaded.filter((path) => path.includes("/ajv/")),
    [],
  );
  app.get("/typed", { schema: { querystring: { type: "object" } } }, () => "never");
  await assert.rejects(async () => app.ready(), /nothing is there to compile it/);
});
