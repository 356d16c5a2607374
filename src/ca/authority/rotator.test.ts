import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { createManualClock, type ManualClock } from "../../../test/support/manual-clock.ts";
import { openssl } from "../../../test/support/openssl.ts";
import { temporaryPath, temporaryState } from "../../../test/support/state.ts";
import { until } from "../../../test/support/until.ts";
import { TrysailError } from "../../platform/errors.ts";
import { createLog } from "../../platform/log.ts";
import { systemRandom } from "../../platform/random.ts";
import type { StateDir } from "../../platform/state-dir.ts";
import { certificatesOf, fingerprintsOf } from "../x509/pem-certificates.ts";
import { type Authority, type AuthorityChange, loadAuthority } from "./authority.ts";
import { createFolderStore } from "./authority-folder-store.ts";
import type { AuthorityMaterial } from "./authority-material.ts";
import type { AuthoritySource } from "./authority-source.ts";
import { createRotator, type Rotator, type RotatorDeps } from "./rotator.ts";
import { createSelfSignedRoot } from "./self-signed-root.ts";

const START = Date.parse("2026-08-01T00:00:00Z");
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const trustDomain = "cluster.local";
const random = systemRandom;
const log = createLog("silent");

interface Setup {
  readonly state: StateDir;
  readonly clock: ManualClock;
  readonly authority: Authority;
  readonly rotator: Rotator;
  readonly changes: AuthorityChange[];
  readonly facts: { proxies: number; acknowledged: number; behind: string[] };
  readonly warnings: string[];
}

async function setUp(t: TestContext, options: { state?: StateDir; now?: number } & Partial<RotatorDeps> = {}) {
  const state = options.state ?? (await temporaryState(t));
  const clock = createManualClock(options.now ?? START);
  const store = createFolderStore({ state, trustDomain });
  const authority = await loadAuthority({ store, clock, random, trustDomain, log, rootLifeMs: 100 * DAY_MS });
  const changes: AuthorityChange[] = [];
  authority.onChange((change) => changes.push(change));
  const facts: Setup["facts"] = { proxies: 2, acknowledged: 2, behind: [] };
  const warnings: string[] = [];
  const rotator = createRotator({
    ...{ authority, source: null, trustDomain, clock, random, log, rootLifeMs: 100 * DAY_MS },
    policy: { prepareAtShare: 0.5, propagationMs: DAY_MS, reconnectMs: 0 },
    facts: () => ({ observedSince: START, unheard: null, ...facts }),
    pollMs: HOUR_MS,
    replicaLagMs: 0,
    onExpiring: ({ warning }) => warnings.push(warning),
    ...options,
  });
  t.after(() => rotator.stop());
  return { state, clock, authority, rotator, changes, facts, warnings } satisfies Setup;
}

/** Signs what a workload asks for; answers its chain. */
async function leafOf(authority: Authority, clock: ManualClock, lifeMs = DAY_MS): Promise<string> {
  const { publicKey } = new X509Certificate(createSelfSignedRoot({ clock, random, trustDomain }).certificatePem);
  const identity = { trustDomain, namespace: "shop", serviceAccount: "cart" };
  const spki = publicKey.export({ type: "spki", format: "der" });
  const request = { publicKey: spki, identity, notAfter: clock.now() + lifeMs };
  return (await authority.signer().sign(request)).chainPem;
}

/** Moves time on by hours and lets what falls due at each of them come to its end. */
async function pass(setup: Pick<Setup, "clock" | "authority">, hours: number): Promise<void> {
  for (let hour = 0; hour < hours; hour++) {
    setup.clock.advance(HOUR_MS);
    // Each tick reads the store; when it is through it sets the timer of the next.
    await until("the rotator's next look", () => setup.clock.pending() > 0, { everyMs: 1 });
  }
}

async function verifies(t: TestContext, options: { trust: string; chain: string; at: number }): Promise<boolean> {
  const [roots, chain] = [await temporaryPath(t, "roots.pem"), await temporaryPath(t, "chain.pem")];
  await writeFile(roots, options.trust);
  await writeFile(chain, options.chain);
  return openssl(
    ...[
      "verify",
      "-x509_strict",
      "-attime",
      String(Math.floor(options.at / 1000)),
      "-CAfile",
      roots,
      "-untrusted",
      chain,
      chain,
    ],
  ).then(
    () => true,
    () => false,
  );
}

test("left alone, a root is followed by another, and every leaf verifies at every moment", async (t) => {
  const setup = await setUp(t);
  const { authority, clock, rotator } = setup;
  const firstRoot = authority.trustBundlePem();
  await rotator.start();
  const leaves: string[] = [];
  for (let day = 0; day < 54; day++) {
    const chain = await leafOf(authority, clock);
    leaves.push(chain);
    await pass(setup, 23);
    assert.equal(await verifies(t, { trust: authority.trustBundlePem(), chain, at: clock.now() }), true);
    await pass(setup, 1);
  }
  const secondRoot = authority.trustBundlePem();
  assert.deepEqual(
    setup.changes,
    [
      { signer: false, trustBundle: true },
      { signer: true, trustBundle: false },
      { signer: false, trustBundle: true },
    ],
    "published, then signing, then alone",
  );
  assert.equal(fingerprintsOf(secondRoot).length, 1);
  assert.notEqual(secondRoot, firstRoot);
  const signedBySecond = leaves.filter((chain) =>
    new X509Certificate(chain).verify(new X509Certificate(secondRoot).publicKey),
  );
  assert.ok(signedBySecond.length >= 2 && signedBySecond.length < 5, `${signedBySecond.length} of ${leaves.length}`);
});

test("openssl: a leaf of either root verifies while both are published, and each only with its own", async (t) => {
  const { authority, clock, rotator } = await setUp(t);
  const first = { root: authority.trustBundlePem(), leaf: await leafOf(authority, clock) };
  await rotator.prepare();
  await rotator.activate({ force: false });
  const both = authority.trustBundlePem();
  const leaf = await leafOf(authority, clock);
  const at = clock.now();
  for (const chain of [first.leaf, leaf]) assert.equal(await verifies(t, { trust: both, chain, at }), true);
  assert.equal(await verifies(t, { trust: first.root, chain: leaf, at }), false);
  await rotator.retire({ force: true });
  assert.equal(await verifies(t, { trust: authority.trustBundlePem(), chain: leaf, at }), true);
  assert.equal(await verifies(t, { trust: authority.trustBundlePem(), chain: first.leaf, at }), false);
});

test("the control plane's own chain is accepted by whoever knows only the first of three roots", async (t) => {
  const { authority, clock, rotator } = await setUp(t);
  const firstRoot = authority.trustBundlePem();
  for (let turn = 0; turn < 2; turn++) {
    await rotator.prepare();
    await rotator.activate({ force: true });
    await rotator.retire({ force: true });
  }
  const { publicKey } = new X509Certificate(createSelfSignedRoot({ clock, random, trustDomain }).certificatePem);
  const spki = publicKey.export({ type: "spki", format: "der" });
  const request = { publicKey: spki, hosts: ["localhost"], notAfter: clock.now() + DAY_MS };
  const { chainPem } = await authority.signer().signServing(request);
  assert.equal(certificatesOf(chainPem).length, 3, "the leaf, and a certificate for each step back");
  for (const trust of [firstRoot, authority.trustBundlePem()]) {
    assert.equal(await verifies(t, { trust, chain: chainPem, at: clock.now() }), true);
  }
  assert.equal(certificatesOf(await leafOf(authority, clock)).length, 1, "workloads have no need of it");
});

test("an operator is told why a step must wait, and may force it", async (t) => {
  const { authority, clock, rotator, facts } = await setUp(t);
  await leafOf(authority, clock);
  await assert.rejects(rotator.activate({ force: true }), /nothing is prepared/);
  await assert.rejects(rotator.retire({ force: true }), /nothing is old/);
  await rotator.prepare();
  await assert.rejects(rotator.prepare(), /is prepared already/);
  facts.acknowledged = 1;
  await assert.rejects(rotator.activate({ force: false }), /1 of 2 connected proxies .*--force/);
  await rotator.activate({ force: true });
  await assert.rejects(rotator.retire({ force: false }), /may be valid until 2026-08-02T.*--force/);
  await assert.rejects(rotator.retire({ force: true, id: "none" }), /no old authority is called none/);
  await rotator.retire({ force: true, id: authority.state().old[0]?.id });
  assert.equal(authority.state().old.length, 0);
});

test("proxies that accept no bundle are named once they have held a rotation for a while, and once alone", async (t) => {
  const told: string[] = [];
  const setup = await setUp(t, { onHeld: (message) => told.push(message) });
  const { rotator, authority, facts } = setup;
  await rotator.start();
  await rotator.prepare();
  Object.assign(facts, { acknowledged: 1, behind: ["cart-1.shop"] });
  await pass(setup, 24);
  assert.deepEqual(told, [], "the time to spread has just ended");
  await pass(setup, 5);
  assert.equal(told.length, 1);
  assert.match(
    told[0] ?? "",
    /cannot sign yet, because 1 of 2 connected .*: cart-1\.shop; restart .* activate --force$/,
  );
  Object.assign(facts, { acknowledged: 2, behind: [] });
  await pass(setup, 1);
  assert.equal(authority.state().prepared, null);
  await rotator.prepare();
  await pass(setup, 26);
  assert.equal(told.length, 1, "nobody holds this one");
});

test("a longer life than any before is written down before it is granted, and keeps the old root longer", async (t) => {
  const { state, authority, clock, rotator } = await setUp(t);
  await leafOf(authority, clock, DAY_MS);
  const afterDay = authority.state().active.longestLifeMs;
  await leafOf(authority, clock, DAY_MS);
  await leafOf(authority, clock, HOUR_MS);
  assert.equal(authority.state().active.longestLifeMs, afterDay, "no more writes for what is allowed");
  await leafOf(authority, clock, 30 * DAY_MS);
  const stored = (await createFolderStore({ state, trustDomain }).load())?.state;
  assert.ok((stored?.active.longestLifeMs ?? 0) >= 30 * DAY_MS);
  await rotator.prepare();
  await rotator.activate({ force: false });
  assert.ok((authority.state().old[0]?.leavesUntil ?? 0) >= clock.now() + 30 * DAY_MS);
});

test("two processes on one store: what one decides the other follows, and a stale signer refuses", async (t) => {
  const state = await temporaryState(t);
  const [one, two] = [await setUp(t, { state }), await setUp(t, { state })];
  const staleSigner = two.authority.signer();
  await one.rotator.prepare();
  await one.rotator.activate({ force: false });
  const request = {
    publicKey: staleSigner.certificate.publicKey.export({ type: "spki", format: "der" }),
    identity: { trustDomain, namespace: "shop", serviceAccount: "cart" },
    notAfter: START + DAY_MS,
  };
  // Its first certificate of this life: the store must allow it, and knows that another slot signs now.
  await assert.rejects(staleSigner.sign(request), { code: "unavailable" });
  await two.authority.refresh();
  assert.equal(two.authority.state().active.id, one.authority.state().active.id);
  assert.equal(two.authority.trustBundlePem(), one.authority.trustBundlePem());
  await Promise.allSettled([one.rotator.prepare(), two.rotator.prepare()]);
  await Promise.all([one.authority.refresh(), two.authority.refresh()]);
  assert.equal(one.authority.state().prepared?.id, two.authority.state().prepared?.id, "one of them was first");
});

test("killed at any moment of a rotation, a restart goes on from one step or the other, whole", async (t) => {
  const state = await temporaryState(t);
  const steps = `
    import { loadAuthority } from ${JSON.stringify(import.meta.resolve("./authority.ts"))};
    import { createFolderStore } from ${JSON.stringify(import.meta.resolve("./authority-folder-store.ts"))};
    import { createRotator } from ${JSON.stringify(import.meta.resolve("./rotator.ts"))};
    import { openStateDir } from ${JSON.stringify(import.meta.resolve("../../platform/state-dir.ts"))};
    import { systemClock as clock } from ${JSON.stringify(import.meta.resolve("../../platform/clock.ts"))};
    import { systemRandom as random } from ${JSON.stringify(import.meta.resolve("../../platform/random.ts"))};
    import { createLog } from ${JSON.stringify(import.meta.resolve("../../platform/log.ts"))};
    const [trustDomain, log] = ["cluster.local", createLog("silent")];
    const opened = await openStateDir(${JSON.stringify(state.path)});
    let writes = 0;
    const dying = (run) => async (...args) => {
      if (++writes === Number(process.argv[1])) process.kill(process.pid, "SIGKILL");
      return run(...args);
    };
    const state = {
      ...opened,
      createStateFile: dying(opened.createStateFile),
      writeStateAtomically: dying(opened.writeStateAtomically),
      removeState: dying(opened.removeState),
    };
    const store = createFolderStore({ state, trustDomain });
    const authority = await loadAuthority({ store, clock, random, trustDomain, log });
    const facts = () => ({ observedSince: 0, unheard: null, proxies: 0, acknowledged: 0, behind: [] });
    const policy = { prepareAtShare: 0.5, propagationMs: 0, reconnectMs: 0 };
    const rotator = createRotator(
      { authority, source: null, policy, facts, trustDomain, clock, random, log, pollMs: 1000, replicaLagMs: 0 });
    if (authority.state().prepared === null) await rotator.prepare();
    await rotator.activate({ force: true });
    await rotator.retire({ force: true });`;
  await setUp(t, { state, now: Date.now() });
  let kills = 0;
  for (let write = 1; ; write++) {
    const args = ["--input-type=module", "-e", steps, String(write)];
    const ended = await promisify(execFile)(process.execPath, args).then(
      () => true,
      (error: { signal?: string }) => {
        assert.equal(error.signal, "SIGKILL");
        return false;
      },
    );
    const { authority, clock } = await setUp(t, { state, now: Date.now() });
    const files = await state.listState("ca");
    assert.equal(files.filter((name) => name.endsWith(".json")).length, 1, "no key stays behind");
    assert.equal(authority.trustBundlePem(), (await state.readState("ca/root-cert.pem"))?.toString());
    const leaf = await leafOf(authority, clock);
    assert.equal(await verifies(t, { trust: authority.trustBundlePem(), chain: leaf, at: clock.now() }), true);
    if (ended) break;
    kills++;
  }
  assert.ok(kills >= 8, `killed before ${kills} writes`);
});

test("a source is followed: its successor is published, then signs, and what is broken changes nothing", async (t) => {
  const clock = createManualClock(START);
  const plugged = () => createSelfSignedRoot({ clock, random, trustDomain, lifeMs: 100 * DAY_MS });
  let newest = plugged();
  let offered: AuthorityMaterial | undefined = newest;
  let broken: Error | null = null;
  const source: AuthoritySource = {
    name: "/etc/cacerts",
    read: async () => {
      if (broken !== null) throw broken;
      return offered;
    },
    readRevocationLists: async () => ({ name: "/etc/cacerts/ca-crl.pem", bytes: undefined }),
  };
  const usable: boolean[] = [];
  const metrics = {
    activeEnds() {},
    stepped() {},
    revocationLists() {},
    sourceUsable: (is: boolean) => usable.push(is),
  };
  const setup = await setUp(t, { source, metrics });
  const { authority, rotator } = setup;
  await rotator.start();
  assert.equal(authority.state().prepared?.certificatePem, newest.certificatePem);
  assert.equal(authority.state().prepared?.origin, "plugged-in");
  await pass(setup, 25);
  assert.equal(authority.state().active.certificatePem, newest.certificatePem);
  await assert.rejects(rotator.prepare(), /put its successor into \/etc\/cacerts/);

  broken = new TrysailError("failed-precondition", "half of it is missing");
  await pass(setup, 2);
  assert.equal(rotator.sourceProblem(), "half of it is missing");
  await assert.rejects(rotator.prepare(), /put its successor into \/etc\/cacerts/, "it is plugged in, though broken");
  assert.equal(authority.state().active.certificatePem, newest.certificatePem);
  assert.equal(usable.at(-1), false);

  broken = null;
  offered = undefined;
  await pass(setup, 2);
  assert.equal(rotator.sourceProblem(), "/etc/cacerts holds no authority any more; the last one goes on");
  assert.equal(authority.state().active.certificatePem, newest.certificatePem);
  assert.equal(usable.at(-1), false);

  newest = plugged();
  offered = newest;
  setup.facts.acknowledged = 0;
  await pass(setup, 30);
  assert.equal(rotator.sourceProblem(), null);
  assert.equal(authority.state().prepared?.certificatePem, newest.certificatePem, "nobody has accepted it yet");
  setup.facts.acknowledged = 2;
  await pass(setup, 2);
  assert.equal(authority.state().active.certificatePem, newest.certificatePem);
});

test("a successor that is plugged in never signs where it is taken back, or ends, before", async (t) => {
  const clock = createManualClock(START);
  const plugged = (days: number, at: Pick<ManualClock, "now"> = clock) =>
    createSelfSignedRoot({ clock: at, random, trustDomain, lifeMs: days * DAY_MS });
  const first = plugged(100);
  let offered = first;
  const source: AuthoritySource = {
    name: "/etc/cacerts",
    read: async () => offered,
    readRevocationLists: async () => ({ name: "/etc/cacerts/ca-crl.pem", bytes: undefined }),
  };
  const setup = await setUp(t, { source });
  const { authority, rotator } = setup;
  await rotator.start();
  await pass(setup, 25);
  const { id } = authority.state().active;
  const isAlone = () => {
    assert.deepEqual([authority.state().active.id, authority.state().prepared], [id, null]);
    assert.equal(authority.trustBundlePem(), first.rootsPem);
  };

  offered = plugged(100, setup.clock);
  await pass(setup, 2);
  assert.equal(authority.state().prepared?.certificatePem, offered.certificatePem);
  const { id: successor = "" } = authority.state().prepared ?? {};
  await assert.rejects(rotator.retire({ force: true, id: successor }), /put its successor into \/etc\/cacerts/);
  offered = first;
  await pass(setup, 2);
  isAlone();
  await assert.rejects(rotator.retire({ force: true }), /nothing is old/, "which is not about what is plugged in");
  await pass(setup, 30);
  isAlone();

  offered = plugged(0.5, setup.clock);
  await pass(setup, 2);
  assert.equal(authority.state().prepared?.certificatePem, offered.certificatePem);
  setup.clock.set(setup.clock.now() + 12 * HOUR_MS);
  await assert.rejects(rotator.activate({ force: true }), /which is prepared, expired at 2026-/);
  await pass(setup, 30);
  isAlone();
  assert.match(rotator.sourceProblem() ?? "", /^the authority in \/etc\/cacerts expired at /);
});

test("what an operator has prepared is taken back by its id", async (t) => {
  const { authority, rotator } = await setUp(t);
  const before = authority.trustBundlePem();
  await rotator.prepare();
  await assert.rejects(rotator.retire({ force: true }), /nothing is old/);
  await rotator.retire({ force: false, id: authority.state().prepared?.id });
  assert.equal(authority.state().prepared, null);
  assert.equal(authority.trustBundlePem(), before);
});

test("of an end that comes near there is one warning at each of 30, 7 and 1 days", async (t) => {
  const clock = createManualClock(START);
  const offered = createSelfSignedRoot({ clock, random, trustDomain, lifeMs: 100 * DAY_MS });
  const source: AuthoritySource = {
    name: "/etc/cacerts",
    read: async () => offered,
    readRevocationLists: async () => ({ name: "/etc/cacerts/ca-crl.pem", bytes: undefined }),
  };
  const setup = await setUp(t, { source, pollMs: DAY_MS });
  await setup.rotator.start();
  for (let day = 0; day < 102; day++) await pass(setup, 24);
  assert.deepEqual(setup.warnings, ["30d", "7d", "1d", "expired"]);
});

test("a replica that takes no steps by itself replaces no plugged-in authority when it is asked to prepare", async (t) => {
  const clock = createManualClock(START);
  let offered: AuthorityMaterial | undefined = createSelfSignedRoot({ clock, random, trustDomain });
  const source: AuthoritySource = {
    name: "/etc/cacerts",
    read: async () => offered,
    readRevocationLists: async () => ({ name: "/etc/cacerts/ca-crl.pem", bytes: undefined }),
  };
  const { authority, rotator } = await setUp(t, { source, mayStep: () => false });
  await rotator.start();
  await assert.rejects(rotator.prepare(), /put its successor into \/etc\/cacerts/);
  assert.equal(authority.state().prepared, null);
  offered = undefined;
  await rotator.prepare();
  assert.equal(authority.state().prepared?.origin, "self-signed");
});
