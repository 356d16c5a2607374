import assert from "node:assert/strict";
import { test } from "node:test";
import { parseObject } from "./parse-object.ts";

/** What is told of a Sidecar whose only listener of that kind, behind one that is right, has these fields. */
function told(kind: "egress" | "ingress", number: number, fields: object): [string, string | undefined, string][] {
  const listener = (port: number, others: object) => ({
    ...{ port: { number: port, name: "http", protocol: "HTTP" }, ...others },
    ...(kind === "egress" ? { hosts: ["*/*"] } : { defaultEndpoint: "127.0.0.1:80" }),
  });
  const { findings } = parseObject({
    apiVersion: "networking.istio.io/v1",
    kind: "Sidecar",
    metadata: { name: "it", namespace: "shop" },
    spec: { [kind]: [listener(80, {}), listener(number, fields)] },
  });
  return findings.map(({ severity, field, message }) => [severity, field, message]);
}

const NONE = { captureMode: "NONE" };
const own: readonly [kind: "egress" | "ingress", port: number, fields: object][] = [
  ...[15001, 15006, 15021, 15090].flatMap((port): [kind: "egress" | "ingress", port: number, fields: object][] => [
    ["egress", port, {}],
    ["egress", port, { bind: "10.0.0.1" }],
    ["egress", port, NONE],
    ["egress", port, { ...NONE, bind: "::" }],
    ["ingress", port, NONE],
    ["ingress", port, { ...NONE, bind: "::1" }],
  ]),
  ["egress", 15020, {}],
  ["egress", 15020, NONE],
  ["egress", 15000, NONE],
  ["egress", 15053, NONE],
  ["egress", 15053, { ...NONE, bind: "0:0::1" }],
  ["ingress", 15053, { ...NONE, bind: "127.0.0.1" }],
];
for (const [kind, port, fields] of own) {
  test(`a listener where the proxy listens itself is told of: ${kind} ${port} ${JSON.stringify(fields)}`, () => {
    const [[severity, field, message] = [], ...others] = told(kind, port, fields);
    assert.deepEqual([severity, field, others], ["warning", `spec.${kind}[1].port.number`, []]);
    assert.match(message ?? "", new RegExp(`is ${port}, .* have no such listener`));
  });
}

const free: readonly [kind: "egress" | "ingress", port: number, fields: object][] = [
  ["egress", 15000, {}],
  ["egress", 15053, {}],
  ["egress", 15020, { bind: "10.0.0.1" }],
  ["egress", 15053, { ...NONE, bind: "0.0.0.0" }],
  ["egress", 15021, { ...NONE, bind: "127.0.0.9" }],
  ["egress", 15021, { ...NONE, bind: "unix:///run/s" }],
  ["ingress", 15053, NONE],
  ["ingress", 15006, {}],
];
for (const [kind, port, fields] of free) {
  test(`other listeners are not: ${kind} ${port} ${JSON.stringify(fields)}`, () => {
    assert.deepEqual(told(kind, port, fields), []);
  });
}
