import assert from "node:assert/strict";
import { test } from "node:test";
import { envoyMissing, startEnvoy, validateConfig } from "../support/envoy.ts";

const listener = (name: string, body: string) => ({
  name,
  address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
  filter_chains: [
    {
      filters: [
        {
          name: "envoy.filters.network.http_connection_manager",
          typed_config: {
            "@type":
              "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            stat_prefix: "test",
            route_config: {
              virtual_hosts: [
                {
                  name: "all",
                  domains: ["*"],
                  routes: [{ match: { prefix: "/" }, direct_response: { status: 200, body: { inline_string: body } } }],
                },
              ],
            },
            http_filters: [
              {
                name: "envoy.filters.http.router",
                typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
              },
            ],
          },
        },
      ],
    },
  ],
});

test("a started Envoy serves its listeners and counts what it served", { skip: envoyMissing() }, async (t) => {
  const envoy = await startEnvoy(t, { static_resources: { listeners: [listener("hello", "ahoy")] } });
  const response = await fetch(`http://127.0.0.1:${await envoy.listenerPort("hello")}/`);
  assert.equal(await response.text(), "ahoy");
  assert.equal(await envoy.stat("http.test.downstream_rq_2xx"), 1);
  assert.equal(await envoy.stat("http.test.downstream_rq_5xx"), 0);
});

test("an Envoy that cannot start says why", { skip: envoyMissing() }, async (t) => {
  await assert.rejects(startEnvoy(t, { static_resources: { listners: [] } }), /no\s+such\s+field:\s+'listners'/);
});

test("validation accepts what Envoy would run and explains the rest", { skip: envoyMissing() }, async () => {
  assert.equal(await validateConfig({ static_resources: { listeners: [listener("hello", "ahoy")] } }), null);
  assert.match((await validateConfig({ static_resources: { listeners: [{ name: "no address" }] } })) ?? "", /address/i);
});
