import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { type TestContext, test } from "node:test";
import { createManualClock } from "../../../test/support/manual-clock.ts";
import { buildRevocationList } from "../../../test/support/revocation-list.ts";
import { temporaryState } from "../../../test/support/state.ts";
import { until } from "../../../test/support/until.ts";
import { createLog } from "../../platform/log.ts";
import { systemRandom } from "../../platform/random.ts";
import type { StateDir } from "../../platform/state-dir.ts";
import { type AuthorityChange, loadAuthority } from "./authority.ts";
import { createFolderStore } from "./authority-folder-store.ts";
import type { AuthorityMaterial } from "./authority-material.ts";
import { authorityDocument, parseAuthorityDocument } from "./authority-store.ts";
import { createRotator, type RotatorDeps } from "./rotator.ts";
import { createSelfSignedRoot } from "./self-signed-root.ts";

/** Revocation lists beside an authority that is plugged in, from the source to what is in force. */

const START = Date.parse("2026-08-01T00:00:00Z");
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const trustDomain = "cluster.local";
const random = systemRandom;
const log = createLog("silent");
const newRoot = () => createSelfSignedRoot({ clock: createManualClock(START), random, trustDomain });

function listOf(
  { certificatePem, keyPem }: AuthorityMaterial,
  { from = START, days = 30, serialNumbers = [] as string[] } = {},
): string {
  const key = Buffer.from(keyPem.reveal()).toString();
  return buildRevocationList({
    certificatePem,
    keyPem: key,
    thisUpdate: from,
    nextUpdate: from + days * DAY_MS,
    serialNumbers,
  });
}

async function setUp(
  t: TestContext,
  options: { state?: StateDir; first?: AuthorityMaterial } & Partial<RotatorDeps> = {},
) {
  const state = options.state ?? (await temporaryState(t));
  const clock = createManualClock(START);
  const offered = { material: options.first ?? newRoot(), lists: undefined as string | undefined };
  const authority = await loadAuthority({
    ...{ clock, random, trustDomain, log, store: createFolderStore({ state, trustDomain }) },
    first: async () => ({ origin: "plugged-in", material: offered.material }),
  });
  const changes: AuthorityChange[] = [];
  authority.onChange((change) => changes.push(change));
  const warnings: string[] = [];
  const metric: { usable: boolean; notAfter: number | null }[] = [];
  const rotator = createRotator({
    ...{ authority, trustDomain, clock, random, log, pollMs: HOUR_MS, replicaLagMs: 0 },
    source: {
      name: "cacerts",
      read: async () => offered.material,
      readRevocationLists: async () => ({
        name: "cacerts/ca-crl.pem",
        bytes: offered.lists === undefined ? undefined : Buffer.from(offered.lists),
      }),
    },
    policy: { prepareAtShare: 0.5, propagationMs: 0, reconnectMs: 0 },
    facts: () => ({ observedSince: START, unheard: null, proxies: 0, acknowledged: 0, behind: [] }),
    metrics: {
      ...{ activeEnds() {}, stepped() {}, sourceUsable() {} },
      revocationLists: (lists) => void metric.push(lists),
    },
    onExpiring: ({ message }) => warnings.push(message),
    ...options,
  });
  t.after(() => rotator.stop());
  await rotator.start();
  /** The next look at the source, and all that it leads to. */
  const look = async (afterMs = HOUR_MS) => {
    clock.advance(afterMs);
    await until("the next look to be planned", () => clock.pending() > 0, { everyMs: 1 });
  };
  return { state, clock, authority, rotator, offered, changes, warnings, metric, look };
}

test("lists are put in force, changed and taken away with the file, and survive a restart", async (t) => {
  const first = await setUp(t);
  const { authority, rotator, offered, look, changes, metric } = first;
  assert.deepEqual([authority.revocationListsPem(), rotator.revocationLists()], ["", null]);
  offered.lists = listOf(offered.material);
  await look();
  assert.equal(authority.revocationListsPem(), offered.lists);
  assert.deepEqual(rotator.revocationLists(), { until: START + 30 * DAY_MS, problem: null });
  assert.deepEqual(changes, [{ signer: false, trustBundle: true }]);
  assert.deepEqual(metric.at(-1), { usable: true, notAfter: START + 30 * DAY_MS });
  await look();
  assert.equal(changes.length, 1, "the same lists are no change");

  const another = listOf(offered.material, { serialNumbers: ["0a"] });
  offered.lists = `words\n${another}more words`;
  await look();
  assert.equal(authority.revocationListsPem(), another, "what is no list is not for Envoy");
  assert.deepEqual(changes[1], { signer: false, trustBundle: true });

  rotator.stop();
  const again = await setUp(t, { state: first.state, first: offered.material });
  assert.deepEqual(again.authority.revocationListsPem(), "", "the source has none any more");
  const held = await loadAuthority({
    ...{ clock: first.clock, random, trustDomain, log },
    store: createFolderStore({ state: first.state, trustDomain }),
  });
  assert.equal(held.revocationListsPem(), "");
});

test("what was saved with lists has them before the source was read again", async (t) => {
  const first = await setUp(t);
  first.offered.lists = listOf(first.offered.material);
  await first.look();
  const store = createFolderStore({ state: first.state, trustDomain });
  const again = await loadAuthority({ clock: first.clock, random, trustDomain, log, store });
  assert.equal(again.revocationListsPem(), first.offered.lists);
});

test("a state that was saved before there were lists is read, and has none", async (t) => {
  const { authority } = await setUp(t);
  const { revocationListsPem: _, ...document } = JSON.parse(authorityDocument(authority.state()));
  assert.equal(parseAuthorityDocument(JSON.stringify(document), "state").revocationListsPem, "");
});

const stranger = newRoot();
const bad: [title: string, lists: (own: AuthorityMaterial) => string, problem: RegExp][] = [
  ["an empty file", () => "", /holds no revocation list in PEM$/],
  ["a file of 300 KB", () => "x".repeat(300 * 1024), /is larger than 256 KB$/],
  [
    "a list that is only half written, behind a whole one,",
    (own) => listOf(own) + listOf(stranger).slice(0, 300),
    /cannot be read \(a block of PEM \(X509 CRL\) is not whole\)/,
  ],
  ["octets that are no list", () => "-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n", /cannot be read \(/],
  [
    "a list of the future",
    (own) => listOf(own, { from: START + 10 * DAY_MS }),
    /holds a list that begins at 2026-08-11T/,
  ],
  [
    "a list that is over",
    (own) => listOf(own, { from: START - 40 * DAY_MS }),
    /holds a list that ended at 2026-07-22T/,
  ],
  ["a list that openssl cannot read", (own) => listOf(own, { serialNumbers: [""] }), /cannot be read \(/],
  ["another authority's list alone", () => listOf(stranger), /has no list of O=cluster\.local, CN=Trysail root/],
  [
    "a list with the authority's name and another's signature",
    (own) => listOf({ ...own, keyPem: stranger.keyPem }),
    /has no list of O=cluster\.local/,
  ],
];
for (const [title, lists, problem] of bad) {
  test(`${title} keeps the last good lists in force, and is told`, async (t) => {
    const { authority, rotator, offered, look, metric } = await setUp(t);
    const good = listOf(offered.material);
    offered.lists = good;
    await look();
    offered.lists = lists(offered.material);
    await look();
    assert.equal(authority.revocationListsPem(), good);
    assert.match(rotator.revocationLists()?.problem ?? "", problem);
    assert.match(rotator.revocationLists()?.problem ?? "", /^cacerts\/ca-crl\.pem /);
    assert.equal(rotator.sourceProblem(), null, "the authority itself is good");
    assert.equal(metric.at(-1)?.usable, false);
    offered.lists = good;
    await look();
    assert.deepEqual([rotator.revocationLists()?.problem, metric.at(-1)?.usable], [null, true]);
  });
}

test("a bad list where there was none puts none in force", async (t) => {
  const { authority, rotator, offered, look } = await setUp(t);
  offered.lists = listOf(stranger);
  await look();
  assert.equal(authority.revocationListsPem(), "");
  assert.match(rotator.revocationLists()?.problem ?? "", /has no list of/);
});

test("another authority is taken only together with lists that go with it", async (t) => {
  const { authority, rotator, offered, look } = await setUp(t);
  const [one, two] = [offered.material, newRoot()];
  const listOfOne = listOf(one);
  offered.lists = listOfOne;
  await look();

  offered.material = two;
  await look();
  assert.match(
    rotator.sourceProblem() ?? "",
    /^cacerts\/ca-crl\.pem has no list of .*; the list in force has no list of/,
  );
  assert.equal(authority.state().active.certificatePem, one.certificatePem);
  assert.equal(authority.state().prepared, null);

  offered.lists = listOf(two);
  await look();
  const subject = new X509Certificate(one.certificatePem).subject.split("\n").join(", ");
  assert.ok(rotator.sourceProblem()?.includes(`has no list of ${subject}`), "certificates of the old one still count");

  offered.lists = listOfOne + listOf(two);
  await look();
  assert.equal(rotator.sourceProblem(), null);
  assert.equal(authority.state().active.certificatePem, two.certificatePem);
  assert.equal(authority.revocationListsPem(), offered.lists);
});

test("no root of the mesh's own is prepared while lists are in force, which would not go with it", async (t) => {
  const { authority, rotator, offered, look } = await setUp(t, { source: null });
  await authority.change((state) => ({ ...state, revocationListsPem: listOf(offered.material) }));
  const message = /revocation lists are in force, .*: plug the last authority in once more, without ca-crl\.pem/;
  await assert.rejects(rotator.prepare(), { code: "failed-precondition", message });
  await look();
});

test("of an end of the lists that comes near there is one warning at each step", async (t) => {
  const { offered, look, warnings, authority } = await setUp(t, { pollMs: DAY_MS });
  offered.lists = listOf(offered.material);
  for (let day = 0; day < 32; day++) await look(DAY_MS);
  assert.equal(authority.revocationListsPem(), offered.lists, "the last good ones stay");
  assert.deepEqual(
    warnings.map((warning) => /(less than \w+|ended)/.exec(warning)?.[0]),
    ["less than 30d", "less than 7d", "less than 1d", "ended"],
  );
  assert.match(warnings.at(-1) ?? "", /ended at 2026-08-31T00:00:00\.000Z: proxies refuse each other$/);
});

test("lists that proxies cannot use are in force all the same, and it is told", async (t) => {
  const { authority, rotator, offered, look, metric } = await setUp(t, { revocationObstacle: () => "it is federated" });
  assert.equal(rotator.revocationLists(), null);
  offered.lists = listOf(offered.material);
  await look();
  assert.equal(authority.revocationListsPem(), offered.lists);
  assert.equal(rotator.revocationLists()?.problem, "it is federated");
  assert.equal(metric.at(-1)?.usable, false);
});
