import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { temporaryAuthority } from "../../../test/support/authority.ts";
import { identityOf } from "../../../test/support/caller.ts";
import { createManualClock } from "../../../test/support/manual-clock.ts";
import { systemClock } from "../../platform/clock.ts";
import { TrysailError } from "../../platform/errors.ts";
import { certificatesOf } from "../x509/pem-certificates.ts";
import { parseSpiffeBundle } from "./parse-spiffe-bundle.ts";
import { buildSpiffeBundle } from "./spiffe-bundle.ts";

const now = Date.now();
const x5cOf = (pem: string) => certificatesOf(pem).map(({ raw }) => raw.toString("base64"));

test("what a mesh publishes of itself is read back: its roots, and when to look again", async (t) => {
  const [one, two] = [await temporaryAuthority(t, systemClock), await temporaryAuthority(t, systemClock)];
  const rootsPem = one.trustBundlePem + two.trustBundlePem;
  const jwtKeys = [{ keyId: "a", jwk: { kty: "EC" } }];
  const text = buildSpiffeBundle({ rootsPem, jwtKeys, refreshHintSeconds: 90 });
  assert.deepEqual(parseSpiffeBundle(text, now), { rootsPem, refreshHintMs: 90_000, sequence: null });
});

test("of a bundle the roots that have ended are left out, and one without any other is refused", async (t) => {
  const [ended, live] = [await temporaryAuthority(t, createManualClock(0)), await temporaryAuthority(t, systemClock)];
  const both = { rootsPem: ended.trustBundlePem + live.trustBundlePem, jwtKeys: [], refreshHintSeconds: 60 };
  assert.equal(parseSpiffeBundle(buildSpiffeBundle(both), now).rootsPem, live.trustBundlePem);
  const text = buildSpiffeBundle({ ...both, rootsPem: ended.trustBundlePem });
  assert.throws(() => parseSpiffeBundle(text, now), { message: /has no root that is still valid/ });
});

test("a bundle says what is wrong with it", async (t) => {
  const authority = await temporaryAuthority(t, systemClock);
  const [root = ""] = x5cOf(authority.trustBundlePem);
  const [leaf = ""] = x5cOf((await identityOf(authority, { namespace: "shop", serviceAccount: "cart" })).chainPem);
  const svid = (...x5c: string[]) => ({ keys: [{ use: "x509-svid", x5c }] });
  const rows: [bundle: unknown, says: RegExp][] = [
    [undefined, /is not JSON/],
    [[], /is not a set of at most 100 keys/],
    [{ keys: Array(101).fill({}) }, /is not a set of at most 100 keys/],
    [{ ...svid(root), spiffe_refresh_hint: -1 }, /is not a set/],
    [{ ...svid(root), spiffe_sequence: -1 }, /is not a set/],
    [{ ...svid(root), spiffe_sequence: "7" }, /is not a set/],
    [{ keys: [] }, /has no key for X\.509-SVIDs/],
    [{ keys: [{ use: "jwt-svid", x5c: [root] }, { x5c: [root] }] }, /has no key for X\.509-SVIDs/],
    [svid(), /without exactly one certificate/],
    [svid(root, root), /without exactly one certificate/],
    [svid("AAAA"), /certificate that cannot be read/],
    [svid(leaf), /not one of an authority/],
    [{ keys: [...svid(root).keys, ...svid(leaf).keys] }, /not one of an authority/],
  ];
  for (const [bundle, message] of rows) {
    assert.throws(() => parseSpiffeBundle(JSON.stringify(bundle) ?? "", now), { code: "invalid-argument", message });
  }
});

test("whatever text comes as a bundle, it is refused or has roots", () => {
  const key = fc.record({ use: fc.constantFrom("x509-svid", "jwt-svid", 1), x5c: fc.jsonValue() });
  const text = fc.oneof(
    fc.string(),
    fc.json(),
    fc
      .record({ keys: fc.array(key), spiffe_refresh_hint: fc.jsonValue(), spiffe_sequence: fc.jsonValue() })
      .map((value) => JSON.stringify(value)),
  );
  fc.assert(
    fc.property(text, (bundle) => {
      try {
        assert.ok(certificatesOf(parseSpiffeBundle(bundle, now).rootsPem).length > 0);
      } catch (error) {
        assert.ok(error instanceof TrysailError, String(error));
      }
    }),
    { numRuns: 300 },
  );
});
