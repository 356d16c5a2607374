import assert from "node:assert/strict";
import { test } from "node:test";
import { upstreamHttp } from "./http-protocol-options.ts";

const policy = (http: { h2UpgradePolicy?: "UPGRADE" | "DO_NOT_UPGRADE"; useClientProtocol?: boolean }) => ({
  connectionPool: { http },
});

/** What a port declares, its rule's settings, whether the mesh upgrades, and what is spoken to it. */
const cases: [string, ReturnType<typeof policy> | Record<never, never>, boolean, string][] = [
  ["http", {}, false, "http"],
  ["http", {}, true, "http2"],
  ["http", policy({ h2UpgradePolicy: "UPGRADE" }), false, "http2"],
  ["http", policy({ h2UpgradePolicy: "DO_NOT_UPGRADE" }), true, "http"],
  ["http2", policy({ h2UpgradePolicy: "DO_NOT_UPGRADE" }), false, "http2"],
  ["http", policy({ h2UpgradePolicy: "UPGRADE", useClientProtocol: true }), true, "callers"],
  ["auto", {}, true, "callers"],
  ["auto", policy({ h2UpgradePolicy: "UPGRADE" }), false, "http2"],
];

for (const [protocol, settings, isUpgraded, expected] of cases) {
  test(`${protocol}, ${JSON.stringify(settings)}, in a mesh that ${isUpgraded ? "upgrades" : "does not"}: ${expected}`, () => {
    assert.equal(upstreamHttp(protocol, settings, isUpgraded), expected);
  });
}
