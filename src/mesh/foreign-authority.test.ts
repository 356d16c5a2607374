import assert from "node:assert/strict";
import { test } from "node:test";
import { temporaryAuthority } from "../../test/support/authority.ts";
import { identityOf } from "../../test/support/caller.ts";
import { meshConfig } from "../../test/support/manifests.ts";
import { meshOf, objectsOf, setOf } from "../../test/support/mesh.ts";
import { systemClock } from "../platform/clock.ts";
import { createSnapshotBuilder } from "./snapshot.ts";

/** MeshConfig's caCertificates: who vouches for other trust domains. */

const bundleUrl = "https://west.example/bundle";
const meshWith = (caCertificates: unknown, more: object = {}) =>
  meshConfig(JSON.stringify({ caCertificates, ...more }));

test("caCertificates are read with the trust domains that each vouches for, and of its pem the roots alone", async (t) => {
  const { trustBundlePem: pem } = await temporaryAuthority(t, systemClock);
  const { config, findings } = meshOf(
    meshWith([
      { trustDomains: ["b.example", "a.example", "b.example"], pem: `# note\n${pem}-----BEGIN PRIVATE KEY-----` },
      { trustDomains: ["west.example"], spiffeBundleUrl: bundleUrl },
    ]),
  );
  assert.deepEqual(config.foreignAuthorities, [
    { trustDomains: ["a.example", "b.example"], roots: { pem } },
    { trustDomains: ["west.example"], roots: { bundleUrl } },
  ]);
  assert.deepEqual(findings, []);
});

test("an entry of caCertificates that is wrong is a finding, and leaves the last good list", async (t) => {
  const authority = await temporaryAuthority(t, systemClock);
  const { chainPem } = await identityOf(authority, { namespace: "shop", serviceAccount: "cart" });
  const west = { trustDomains: ["west.example"], spiffeBundleUrl: bundleUrl };
  const domains = (...trustDomains: string[]) => ({ ...west, trustDomains });
  const rows: [entry: unknown, says: RegExp][] = [
    [{ spiffeBundleUrl: bundleUrl }, /\[1\] must name the trustDomains that it vouches for/],
    [domains(), /must name the trustDomains/],
    [domains("cluster.local"), /names cluster\.local, for which only the mesh's own authority vouches/],
    [domains("east.example", "old.example"), /names old\.example, for which only the mesh's own/],
    [domains("West.example"), /names "West\.example", which is not a trust domain/],
    [domains("a/ns/shop"), /which is not a trust domain/],
    [{ trustDomains: ["east.example"] }, /must have either pem or spiffeBundleUrl/],
    [{ ...west, pem: authority.trustBundlePem }, /must have either pem or spiffeBundleUrl/],
    [{ ...west, spiffeBundleUrl: "http://west.example" }, /is not an https:\/\/ URL/],
    [{ ...west, spiffeBundleUrl: "https://user:word@west.example" }, /with credentials in it/],
    [{ ...west, spiffeBundleUrl: "west" }, /is not an https:\/\/ URL/],
    [{ trustDomains: ["east.example"], pem: "hello" }, /has no certificate in its pem/],
    [{ trustDomains: ["east.example"], pem: chainPem }, /not one of an authority/],
    [
      {
        trustDomains: ["east.example"],
        pem: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
      },
      /cannot be read/,
    ],
    [
      { trustDomains: ["east.example"], pem: authority.trustBundlePem + authority.trustBundlePem.slice(0, 300) },
      /a block of PEM \(CERTIFICATE\) is not whole/,
    ],
    [{ trustDomains: "east.example" }, /trustDomains must be a list/],
  ];
  for (const [entry, says] of rows) {
    const builder = createSnapshotBuilder("cluster.local");
    const build = (list: unknown) =>
      builder.build(setOf(objectsOf(meshWith(list, { trustDomainAliases: ["old.example"] }))));
    const good = build([west]).config.foreignAuthorities;
    assert.equal(good.length, 1);
    const { config, findings } = build([west, entry]);
    assert.deepEqual(config.foreignAuthorities, good);
    assert.equal(findings.length, 1, JSON.stringify(entry));
    assert.equal(findings[0]?.severity, "error");
    assert.match(findings[0]?.message ?? "", says);
  }
});

test("a foreign authority stops to vouch for a domain that becomes an alias of the mesh's own", () => {
  const builder = createSnapshotBuilder("cluster.local");
  const list = [
    { trustDomains: ["west.example"], spiffeBundleUrl: bundleUrl },
    { trustDomains: ["north.example"], spiffeBundleUrl: bundleUrl },
  ];
  const build = (more: object) => builder.build(setOf(objectsOf(meshWith(list, more)))).config.foreignAuthorities;
  assert.equal(build({}).length, 2);
  const left = build({ trustDomainAliases: ["west.example"] });
  assert.deepEqual(
    left.map(({ trustDomains }) => trustDomains),
    [["north.example"]],
  );
});
