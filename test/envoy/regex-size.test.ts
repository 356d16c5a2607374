import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { regexProblem } from "../../src/mesh/regex-problem.ts";
import { MAX_REGEX_SIZE, regexSize } from "../../src/mesh/regex-size.ts";
import { envoyMissing, startEnvoy } from "../support/envoy.ts";
import { until } from "../support/until.ts";

/** Envoy refuses a route table as a whole for one expression that compiles to more than it was told to take. */

const skip = envoyMissing();

const expressions = [
  ...["a", "é", "/api/.*", "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "(?:\\w+\\.)*[a-z0-9-]{1,63}", "a|b|c|"],
  ...["(a{1,100}){1,9}", "((\\pL{1,20}){1,20}){1,2}", "(\\pL\\pN\\pS\\pP){1,200}", "(?P<name>a){900}", "a{3,}"],
  ...["[acegikmoqsuwy]{1,900}", "[^acegikmoqsuwy]{1,900}", "[]a-c]{900}", "[^]a]{900}", "[[:punct:]\\S]{300}"],
  ...["\\Q[\\E(\\pP\\pP){1,500}]", "\\Q(\\E(\\pS){1,300}", "\\x{e9}{900}", "\\p{Lu}{900}", "\\PS{900}", "\\W{900}"],
  ...["(?i)[k-s]{1,90}", "(?i:K{500})s", "(?i)\\pL{1,50}", "(?s).{900}", "(".repeat(200) + ")".repeat(200)],
];

test("what Envoy compiles an expression to is no more than its text tells", { skip }, async (t) => {
  const log = await logOfRefusals(t, { expressions, limit: 1 });
  for (const expression of expressions) {
    const size = sizeIn(log, expression);
    assert.ok(size > 1, `Envoy says nothing of ${expression}`);
    assert.ok(size <= regexSize(expression), `${expression}: ${size} in Envoy, ${regexSize(expression)} by its text`);
  }
});

test("an expression that Envoy would refuse its whole route table for is refused as an object", { skip }, async (t) => {
  const expression = "(\\pL\\pN\\pS\\pP){1,1000}";
  const log = await logOfRefusals(t, { expressions: [expression], limit: MAX_REGEX_SIZE });
  assert.ok(sizeIn(log, expression) > MAX_REGEX_SIZE);
  assert.match(regexProblem(expression) ?? "", /too large for Envoy/);
  for (const usual of expressions.slice(0, 6)) assert.equal(regexProblem(usual), null);
});

/** What Envoy logs of route tables with one expression each, where it takes no more than `limit` instructions. */
async function logOfRefusals(
  t: TestContext,
  { expressions, limit }: { readonly expressions: readonly string[]; readonly limit: number },
): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "trysail-regex-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const listeners = expressions.map((regex, index) => {
    const path = join(folder, `${index}.json`);
    writeFileSync(path, JSON.stringify({ versionInfo: "1", resources: [routeTable(`table-${index}`, regex)] }));
    return listener(`table-${index}`, path);
  });
  const envoy = await startEnvoy(
    t,
    {
      node: { id: "regex", cluster: "regex" },
      layeredRuntime: {
        layers: [{ name: "limit", staticLayer: { "re2.max_program_size.error_level": limit } }],
      },
      staticResources: { listeners },
    },
    { wait: "started", logLevel: "warning" },
  );
  await until("every route table to be refused", () =>
    expressions.every((expression) => sizeIn(envoy.log(), expression) > 0),
  );
  return envoy.log();
}

function sizeIn(log: string, expression: string): number {
  const [, rest = ""] = log.split(`regex '${expression}' RE2 program size of `);
  // As far as the log is read, a number may go on.
  return Number(/^(\d+)\D/.exec(rest)?.[1] ?? 0);
}

function routeTable(name: string, regex: string) {
  const routes = [{ match: { safeRegex: { regex } }, directResponse: { status: 200 } }];
  return {
    "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
    name,
    virtualHosts: [{ name: "all", domains: ["*"], routes }],
  };
}

function listener(name: string, path: string) {
  const router = {
    name: "envoy.filters.http.router",
    typedConfig: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
  };
  const manager = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    statPrefix: name,
    httpFilters: [router],
    rds: { routeConfigName: name, configSource: { pathConfigSource: { path } } },
  };
  return {
    name,
    address: { socketAddress: { address: "127.0.0.1", portValue: 0 } },
    filterChains: [{ filters: [{ name: "http", typedConfig: manager }] }],
  };
}
