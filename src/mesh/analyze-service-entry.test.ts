import assert from "node:assert/strict";
import { test } from "node:test";
import { withinCpuMs } from "../../test/support/cpu-time.ts";
import { istio } from "../../test/support/manifests.ts";
import { objectsOf } from "../../test/support/mesh.ts";
import { analyzeReferences, createReferenceAnalyzer } from "./analyze.ts";

const entry = (name: string, spec: object, namespace = "shop") =>
  istio(
    "ServiceEntry",
    name,
    { hosts: [`${name}.example.com`], ports: [{ number: 5000, name: "tcp", protocol: "TCP" }], ...spec },
    namespace,
  );
const found = (...manifests: string[]) =>
  analyzeReferences(objectsOf(manifests.join(""))).map(({ message }) => message);

test("two entries that take every connection to one port are told of each other", () => {
  const messages = found(entry("a", {}), entry("b", {}));
  assert.equal(messages.length, 2);
  assert.match(
    messages[0] ?? "",
    /^ServiceEntry shop\/a: spec\.ports\[0\] takes every connection to port 5000, and so does ServiceEntry shop\/b: ServiceEntry shop\/a has them/,
  );
  assert.match(
    messages[1] ?? "",
    /^ServiceEntry shop\/b: .*so does ServiceEntry shop\/a: ServiceEntry shop\/a has them/,
  );
});

test("not where they can be told apart, or no caller sees both", () => {
  const endpoints = [{ address: "10.0.0.1" }];
  assert.deepEqual(found(entry("a", { addresses: ["10.0.0.1"] }), entry("b", {})), []);
  assert.deepEqual(
    found(entry("a", { resolution: "STATIC", endpoints }), entry("b", { resolution: "STATIC", endpoints })),
    [],
  );
  assert.deepEqual(found(entry("a", {}), entry("b", { ports: [{ number: 5000, name: "tls", protocol: "TLS" }] })), []);
  assert.deepEqual(found(entry("a", { exportTo: ["."] }), entry("b", { exportTo: ["."] }, "edge")), []);
});

test("a host of two entries in one namespace is told of both", () => {
  const hosts = { hosts: ["x.example.com"], resolution: "DNS" };
  const messages = found(entry("a", hosts), entry("b", hosts), entry("c", { ...hosts, exportTo: ["."] }, "edge"));
  assert.equal(messages.length, 2);
  assert.match(
    messages[1] ?? "",
    /^ServiceEntry shop\/b: spec\.hosts\[0\] is x\.example\.com, .*ServiceEntry shop\/a has it/,
  );
});

test("a new version of an entry is no rival of the one that is stored", () => {
  const analyze = createReferenceAnalyzer(objectsOf(entry("a", {})));
  assert.deepEqual(objectsOf(entry("a", { location: "MESH_INTERNAL" })).flatMap(analyze), []);
});

test("thousands of entries are compared in no more than a moment", () => {
  const objects = objectsOf(
    Array.from({ length: 2000 }, (_, index) => entry(`e${index}`, { hosts: [`e${index}.test`, "all.test"] })).join(""),
  );
  assert.equal(withinCpuMs(2000, () => analyzeReferences(objects)).length, 4000);
});

test("so are thousands that nobody sees together", () => {
  const apart = (_: unknown, at: number) => entry(`e${at}`, { exportTo: [`n${at}`] });
  const objects = objectsOf(Array.from({ length: 8000 }, apart).join(""));
  assert.deepEqual(
    withinCpuMs(5000, () => analyzeReferences(objects)),
    [],
  );
});
