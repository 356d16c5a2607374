import assert from "node:assert/strict";
import { test } from "node:test";
import { withinCpuMs } from "../../test/support/cpu-time.ts";
import { document, istio, service } from "../../test/support/manifests.ts";
import { meshOf, objectsOf, setOf } from "../../test/support/mesh.ts";
import { createSnapshotBuilder } from "./snapshot.ts";

function alias(name: string, externalName: string, namespace = "shop"): string {
  const spec = { type: "ExternalName", externalName, ports: [{ name: "http", port: 80 }] };
  return document({ apiVersion: "v1", kind: "Service", metadata: { name, namespace }, spec });
}

const entry = istio("ServiceEntry", "entry", {
  hosts: ["entry.test"],
  ports: [{ number: 8080, name: "http", protocol: "HTTP" }],
  resolution: "DNS",
});
const web = service({ name: "web", ports: { http: 8080 }, clusterIP: "10.96.0.1" });

const rows: [externalName: string, standsFor: string | null][] = [
  ["web.shop.svc.cluster.local", "web.shop.svc.cluster.local"],
  ["Web.shop.svc.cluster.local.", "web.shop.svc.cluster.local"],
  ["second.shop.svc.cluster.local", "web.shop.svc.cluster.local"],
  ["entry.test", "entry.test"],
  ["example.com", null],
  ["circle.shop.svc.cluster.local", null],
];
for (const [externalName, standsFor] of rows) {
  test(`an ExternalName of ${externalName} stands for ${standsFor ?? "what DNS says"}`, () => {
    const others = [alias("second", "web.shop.svc.cluster.local"), alias("circle", "first.other.svc.cluster.local")];
    const mesh = meshOf([web, entry, ...others, alias("first", externalName, "other")].join(""));
    const found = mesh.services.filter(({ hostname }) => hostname === "first.other.svc.cluster.local");
    assert.equal(found.length, 1);
    const [first] = found;
    assert.equal(first?.standsFor?.hostname ?? null, standsFor);
    assert.deepEqual([first?.namespace, first?.addresses], ["other", []]);
    assert.deepEqual(
      first?.ports.map(({ number }) => number),
      [standsFor === null ? 80 : 8080],
    );
  });
}

test("a chain of thousands of names is followed in no more than a moment", () => {
  const name = (at: number) => `n${at}.shop.svc.cluster.local`;
  const chain = Array.from({ length: 8000 }, (_, at) =>
    alias(`n${at}`, at === 7999 ? "web.shop.svc.cluster.local" : name(at + 1)),
  );
  const objects = objectsOf(web + chain.join(""));
  const mesh = withinCpuMs(5000, () => createSnapshotBuilder("cluster.local").build(setOf(objects)));
  const first = mesh.services.find(({ hostname }) => hostname === name(0));
  assert.equal(first?.standsFor?.hostname, "web.shop.svc.cluster.local");
});
