import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultInjectionConfig } from "./injection-config.ts";
import { parseInjectionConfig } from "./parse-injection-config.ts";

test("an empty file leaves every default", () => {
  assert.deepEqual(parseInjectionConfig("", "file"), defaultInjectionConfig);
});

test("what a file names is set", () => {
  const yaml = `
policy: disabled
ignoredNamespaces: [mine]
neverInjectSelector: [{matchExpressions: [{key: batch, operator: Exists}]}]
templates:
  debug: {metadata: {labels: {debug: "on"}}, spec: {hostname: null, containers: [{name: debug, image: d}]}}
proxyConfig: {holdApplicationUntilProxyStarts: true}
interceptionBy: node
`;
  assert.deepEqual(parseInjectionConfig(yaml, "file"), {
    ...defaultInjectionConfig,
    policy: "disabled",
    ignoredNamespaces: [...defaultInjectionConfig.ignoredNamespaces, "mine"],
    neverInjectSelector: [{ matchExpressions: [{ key: "batch", operator: "Exists" }] }],
    templates: {
      debug: {
        metadata: { labels: { debug: "on" } },
        spec: { hostname: null, containers: [{ name: "debug", image: "d" }] },
      },
    },
    proxyConfig: { holdApplicationUntilProxyStarts: true },
    interceptionBy: "node",
  });
});

const mistakes: readonly [yaml: string, message: RegExp][] = [
  ["policy: maybe", /^file: policy must be one of "enabled", "disabled"/],
  ["polizy: enabled", /^file: there is no setting polizy$/],
  ["proxyConfig: {concurrency: x}", /^file: proxyConfig.concurrency must be/],
  ["proxyConfig: {extraStatTags: ['']}", /^file: proxyConfig.extraStatTags\[0\] must not be empty text$/],
  ["proxyConfig: {nothing: x}", /^file: there is no setting proxyConfig.nothing$/],
  ["templates: {a: {spec: {containers: [{image: x}]}}}", /^file: templates.a.spec.containers\[0\].name is missing/],
  ["templates: {a: {metadata: {labels: {x: '{{ .Name }}'}}}}", /^file: templates.a holds \{\{…\}\}/],
  ["- list", /^file: .*must be a mapping/],
  ["a: [", /^file: not YAML/],
];
for (const [yaml, message] of mistakes) {
  test(`${yaml} is refused by name`, () => {
    assert.throws(() => parseInjectionConfig(yaml, "file"), { code: "invalid-argument", message });
  });
}
