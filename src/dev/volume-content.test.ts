import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConfigLookup } from "./environment.ts";
import { parsePod, type Volume } from "./pod.ts";
import { planVolume } from "./volume-content.ts";

const lookup: ConfigLookup = {
  configMap: (_, name) =>
    name === "settings"
      ? new Map([
          ["a.txt", Buffer.from("A")],
          ["b.txt", Buffer.from("B")],
        ])
      : undefined,
  secret: (_, name) => (name === "keys" ? new Map([["pin", Buffer.from("1234")]]) : undefined),
};
const manifest = parsePod({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace: "shop", labels: { b: 'with "quotes"', a: "1" } },
  spec: { containers: [{ name: "web", image: "web" }] },
});
const pod = {
  manifest,
  name: "web-1",
  namespace: "shop",
  uid: "u",
  ip: "10.88.0.10",
  node: { name: "n", ip: "10.88.0.1" },
};

function filesOf(volume: Omit<Volume, "name">): Record<string, string> {
  const plan = planVolume({ name: "v", ...volume }, pod, lookup);
  assert.equal(plan.kind, "files");
  const files = plan.kind === "files" ? plan.files : [];
  return Object.fromEntries(
    files.map(({ path, content }) => [path, Buffer.isBuffer(content) ? content.toString() : JSON.stringify(content)]),
  );
}

test("a ConfigMap's keys become files, or those that are chosen", () => {
  assert.deepEqual(filesOf({ configMap: { name: "settings" } }), { "a.txt": "A", "b.txt": "B" });
  assert.deepEqual(filesOf({ configMap: { name: "settings", items: [{ key: "a.txt", path: "x/y" }] } }), {
    "x/y": "A",
  });
});

test("labels are written as sorted lines with quoted values", () => {
  const volume = { downwardAPI: { items: [{ path: "labels", fieldRef: { fieldPath: "metadata.labels" } }] } };
  assert.deepEqual(filesOf(volume), { labels: 'a="1"\nb="with \\"quotes\\""' });
});

test("a projected volume joins its sources, a token among them", () => {
  const sources = [
    { serviceAccountToken: { path: "token", audience: "istio-ca", expirationSeconds: 600 } },
    { configMap: { name: "settings", items: [{ key: "b.txt", path: "b" }] } },
    { secret: { name: "keys" } },
  ];
  assert.deepEqual(filesOf({ projected: { sources } }), {
    token: '{"audience":"istio-ca","ttlMs":600000}',
    b: "B",
    pin: "1234",
  });
});

test("what is missing is named, unless it is optional", () => {
  assert.throws(() => filesOf({ configMap: { name: "none" } }), /ConfigMap none not found/);
  assert.throws(
    () => filesOf({ secret: { secretName: "keys", items: [{ key: "x", path: "x" }] } }),
    /Secret keys has no key x/,
  );
  assert.deepEqual(filesOf({ configMap: { name: "none", optional: true } }), {});
});

test("a path that leaves its volume is refused", () => {
  for (const path of ["../x", "/x", "a/../../x", ""]) {
    assert.throws(
      () => filesOf({ configMap: { name: "settings", items: [{ key: "a.txt", path }] } }),
      /must be relative/,
    );
  }
});

test("folders: empty, of this machine, kept by name; other volumes are refused by name", () => {
  assert.deepEqual(planVolume({ name: "v", emptyDir: {} }, pod, lookup), { kind: "empty" });
  assert.deepEqual(planVolume({ name: "v", hostPath: { path: "/data" } }, pod, lookup), {
    kind: "host",
    path: "/data",
  });
  const claim = { name: "v", persistentVolumeClaim: { claimName: "c" } };
  assert.deepEqual(planVolume(claim, pod, lookup), { kind: "claim", name: "c" });
  const other = Object.assign({ name: "v" }, { nfs: { server: "x" } });
  assert.throws(() => planVolume(other, pod, lookup), /volume v: nfs is not available on this machine/);
});
