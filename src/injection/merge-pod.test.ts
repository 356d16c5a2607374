import assert from "node:assert/strict";
import { test } from "node:test";
import { withinCpuMs } from "../../test/support/cpu-time.ts";
import { mergePod } from "./merge-pod.ts";

const cases: readonly [title: string, base: unknown, patch: unknown, expected: unknown][] = [
  ["mappings are merged", { a: { b: 1, c: 2 } }, { a: { c: 3, d: 4 } }, { a: { b: 1, c: 3, d: 4 } }],
  ["values are replaced", { a: 1 }, { a: "x" }, { a: "x" }],
  ["other lists are replaced", { args: ["a", "b"] }, { args: ["c"] }, { args: ["c"] }],
  ["null takes away", { a: 1, b: 2 }, { a: null }, { b: 2 }],
  ["null of something that is not there is nothing", {}, { a: { b: null, c: 1 } }, { a: { c: 1 } }],
  ["a null that was there stays", { a: null }, { b: 1 }, { a: null, b: 1 }],
  [
    "one way to act takes the place of another",
    { preStop: { exec: { command: ["a"] } }, readinessProbe: { httpGet: { port: 1 }, periodSeconds: 2 } },
    { preStop: { httpGet: { port: 2 } }, readinessProbe: { grpc: { port: 3 } } },
    { preStop: { httpGet: { port: 2 } }, readinessProbe: { grpc: { port: 3 }, periodSeconds: 2 } },
  ],
  [
    "a variable's value takes the place of where it came from",
    { env: [{ name: "A", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } }] },
    { env: [{ name: "A", value: "x" }] },
    { env: [{ name: "A", value: "x" }] },
  ],
  [
    "containers by name, new ones last",
    { containers: [{ name: "a", image: "1" }, { name: "b" }] },
    { containers: [{ name: "c" }, { name: "a", tty: true }] },
    { containers: [{ name: "a", image: "1", tty: true }, { name: "b" }, { name: "c" }] },
  ],
  [
    "environment by name",
    { env: [{ name: "A", value: "1" }] },
    {
      env: [
        { name: "A", value: "2" },
        { name: "B", value: "3" },
      ],
    },
    {
      env: [
        { name: "A", value: "2" },
        { name: "B", value: "3" },
      ],
    },
  ],
  [
    "mounts by path",
    { volumeMounts: [{ name: "x", mountPath: "/a" }] },
    {
      volumeMounts: [
        { name: "y", mountPath: "/a" },
        { name: "x", mountPath: "/b" },
      ],
    },
    {
      volumeMounts: [
        { name: "y", mountPath: "/a" },
        { name: "x", mountPath: "/b" },
      ],
    },
  ],
  [
    "ports by number and protocol",
    { ports: [{ containerPort: 53, protocol: "UDP" }] },
    {
      ports: [
        { containerPort: 53, name: "dns" },
        { containerPort: 53, protocol: "UDP", name: "udp" },
      ],
    },
    {
      ports: [
        { containerPort: 53, protocol: "UDP", name: "udp" },
        { containerPort: 53, name: "dns" },
      ],
    },
  ],
  [
    "host aliases by address",
    { hostAliases: [{ ip: "1" }] },
    { hostAliases: [{ ip: "1", hostnames: ["a"] }] },
    { hostAliases: [{ ip: "1", hostnames: ["a"] }] },
  ],
  [
    "an item is deleted",
    { volumes: [{ name: "a" }, { name: "b" }] },
    { volumes: [{ name: "a", $patch: "delete" }] },
    { volumes: [{ name: "b" }] },
  ],
  ["deleting what is not there is nothing", {}, { volumes: [{ name: "a", $patch: "delete" }] }, { volumes: [] }],
  ["a mapping is replaced as a whole", { a: { b: 1 } }, { a: { $patch: "replace", c: 2 } }, { a: { c: 2 } }],
  [
    "a list that was null is a list",
    { containers: null },
    { containers: [{ name: "a" }] },
    { containers: [{ name: "a" }] },
  ],
  ["names of the language are names", { constructor: 1 }, { toString: 2 }, { constructor: 1, toString: 2 }],
];
for (const [title, base, patch, expected] of cases) {
  test(title, () => {
    const before = JSON.stringify([base, patch]);
    assert.deepEqual(mergePod(base, patch), expected);
    assert.equal(JSON.stringify([base, patch]), before, "neither is touched");
  });
}

test("__proto__ is a key like any other", () => {
  const merged = mergePod(JSON.parse('{"a":{"__proto__":{"x":1}}}'), JSON.parse('{"a":{"__proto__":{"y":2}}}'));
  assert.equal(JSON.stringify(merged), '{"a":{"__proto__":{"x":1,"y":2}}}');
});

test("lists of whatever length are merged in time that grows with it", () => {
  const env = (prefix: string) =>
    Array.from({ length: 40_000 }, (_, index) => ({ name: `${prefix}${index}`, value: "" }));
  const merged = withinCpuMs(2000, () => mergePod({ env: env("a") }, { env: [...env("a"), ...env("b")] }));
  assert.deepEqual(merged, { env: [...env("a"), ...env("b")] });
});
