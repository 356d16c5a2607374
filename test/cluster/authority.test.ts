import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type Authority, loadAuthority } from "../../src/ca/authority/authority.ts";
import { createFolderStore } from "../../src/ca/authority/authority-folder-store.ts";
import { createRotator } from "../../src/ca/authority/rotator.ts";
import { createSelfSignedRoot } from "../../src/ca/authority/self-signed-root.ts";
import { recordExpiry } from "../../src/control-plane/authority-events.ts";
import { AUTHORITY_SECRET, openAuthority } from "../../src/control-plane/open-authority.ts";
import { createSecretStore } from "../../src/kubernetes/authority-secret-store.ts";
import type { KubernetesClient } from "../../src/kubernetes/client.ts";
import { createEventRecorder } from "../../src/kubernetes/event-recorder.ts";
import { createRootCertificateKeeper } from "../../src/kubernetes/root-certificate-keeper.ts";
import { type Clock, systemClock as clock } from "../../src/platform/clock.ts";
import { createLog } from "../../src/platform/log.ts";
import { systemRandom as random } from "../../src/platform/random.ts";
import { createManualClock } from "../support/manual-clock.ts";
import { temporaryState } from "../support/state.ts";
import { until } from "../support/until.ts";
import { create } from "./create.ts";
import { findKubernetes } from "./programs.ts";
import { podClient } from "./service-account.ts";
import { startKubernetes } from "./start-kubernetes.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : false;
const namespace = "trysail-system";
const trustDomain = "cluster.local";
const log = createLog("silent");
const SECRETS = `/api/v1/namespaces/${namespace}/secrets`;
/** What the issue promises, by the keeper's clock: how busy the machine is does not count. */
const SOON_MS = 2000;
const PATIENT = { timeoutMs: 30_000, everyMs: 20 };

const DAY_MS = 86_400_000;

/** Of an Event, as much as is looked at. */
interface EventShape {
  readonly reason: string;
  readonly type: string;
  readonly note: string;
  readonly regarding: { readonly kind: string; readonly name: string };
}

const namespaceObject = (name: string) => ({ apiVersion: "v1", kind: "Namespace", metadata: { name } });
const secretObject = (name: string, files: Readonly<Record<string, string>>) => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name },
  stringData: files,
});
const newRoot = (life: { readonly clock?: Pick<Clock, "now">; readonly lifeMs?: number } = {}) => {
  const root = createSelfSignedRoot({ clock, random, trustDomain, ...life });
  const files = { "ca-cert.pem": root.certificatePem, "ca-key.pem": Buffer.from(root.keyPem.reveal()).toString() };
  return { ...root, files };
};

function load(client: KubernetesClient, name: string): Promise<Authority> {
  return loadAuthority({ store: createSecretStore({ client, namespace, name }), clock, random, trustDomain, log });
}

function rotatorOf(t: TestContext, authority: Authority) {
  const rotator = createRotator({
    ...{ authority, source: null, trustDomain, clock, random, log, pollMs: 1000, replicaLagMs: 0 },
    policy: { prepareAtShare: 0.5, propagationMs: 0, reconnectMs: 0 },
    facts: () => ({ observedSince: 0, unheard: null, proxies: 0, acknowledged: 0, behind: [] }),
  });
  t.after(() => rotator.stop());
  return rotator;
}

test("the authority lives in the Secrets and ConfigMaps of a real cluster", { skip, timeout: 180_000 }, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, found.programs);
  await create(kubernetes, "/api/v1/namespaces", namespaceObject(namespace));
  const client = await podClient(t, kubernetes, {
    name: "authority",
    rules: [
      { apiGroups: [""], resources: ["namespaces"], verbs: ["list", "watch"] },
      { apiGroups: [""], resources: ["configmaps"], verbs: ["create"] },
      {
        apiGroups: [""],
        resources: ["configmaps"],
        resourceNames: ["trysail-ca-root-cert", "istio-ca-root-cert"],
        verbs: ["list", "watch", "patch"],
      },
      { apiGroups: [""], resources: ["secrets"], verbs: ["create"] },
      { apiGroups: [""], resources: ["secrets"], resourceNames: ["one", "two"], verbs: ["get", "update"] },
      {
        apiGroups: [""],
        resources: ["secrets"],
        resourceNames: ["trysail-ca-secret"],
        verbs: ["get", "update"],
      },
      { apiGroups: [""], resources: ["secrets"], resourceNames: ["cacerts", "istio-ca-secret"], verbs: ["get"] },
    ],
  });

  await t.test("replicas that start at once make one root, and a restart finds it", async () => {
    const all = await Promise.all(Array.from({ length: 5 }, () => load(client, "one")));
    assert.equal(new Set(all.map((authority) => authority.trustBundlePem())).size, 1);
    assert.equal((await load(client, "one")).trustBundlePem(), all[0]?.trustBundlePem());
    const { body } = await kubernetes.call("GET", `${SECRETS}/one`);
    assert.deepEqual(Object.keys(body.data).sort(), ["authority.json", "root-cert.pem"]);
  });

  await t.test("of two replicas that take a step at once one does, and the other follows", async (t) => {
    const [one, two] = [await load(client, "two"), await load(client, "two")];
    const [first, second] = [rotatorOf(t, one), rotatorOf(t, two)];
    const outcomes = await Promise.allSettled([first.prepare(), second.prepare()]);
    assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 1);
    await Promise.all([one.refresh(), two.refresh()]);
    assert.equal(one.state().prepared?.id, two.state().prepared?.id);
    await second.activate({ force: false });
    await one.refresh();
    assert.equal(one.signer().certificate.serialNumber, two.signer().certificate.serialNumber);
    assert.equal(one.state().old.length, 1);
  });

  const open = async (t: TestContext) =>
    openAuthority({
      ...{ kubernetes: client, systemNamespace: namespace, caDir: null, trustDomain, clock, random, log },
      state: await temporaryState(t),
      servingHosts: [],
      rootLifeMs: 86_400_000,
      onKeyMissing: (reason) => assert.fail(reason),
    });
  const forget = () => kubernetes.call("DELETE", `${SECRETS}/trysail-ca-secret`);

  await t.test(
    "a mesh that comes from Istio begins with the root of its istio-ca-secret, and may rotate it",
    async (t) => {
      const root = newRoot();
      // As istiod writes it, in any version: what there is not is there, and empty.
      const empty = { "cert-chain.pem": "", "key.pem": "", "root-cert.pem": "" };
      await create(kubernetes, SECRETS, secretObject("istio-ca-secret", { ...root.files, ...empty }));
      const { authority } = await open(t);
      assert.equal(authority.trustBundlePem(), root.certificatePem);
      await rotatorOf(t, authority).prepare();
      assert.ok(authority.trustBundlePem().includes(root.certificatePem));
      await forget();
    },
  );

  await t.test("an istio-ca-secret that has ended is left alone, and the mesh makes a root of its own", async (t) => {
    const then = createManualClock(Date.now() - 2 * DAY_MS);
    const { certificatePem: ended, files } = newRoot({ clock: then, lifeMs: DAY_MS });
    const secret = secretObject("istio-ca-secret", files);
    assert.equal((await kubernetes.call("PUT", `${SECRETS}/istio-ca-secret`, secret)).status, 200);
    const { authority } = await open(t);
    assert.notEqual(authority.trustBundlePem(), ended);
    assert.ok(authority.signer().certificate.validToDate.getTime() > Date.now());
    await forget();
  });

  await t.test(
    "an authority that nears its end is told of on its Secret at 30, 7 and 1 days, and behind it",
    async (t) => {
      const writer = await podClient(t, kubernetes, {
        name: "teller",
        rules: [{ apiGroups: ["events.k8s.io"], resources: ["events"], verbs: ["create", "patch"] }],
      });
      const time = createManualClock(Date.now());
      const root = createSelfSignedRoot({ clock: time, random, trustDomain, lifeMs: 100 * DAY_MS });
      const authority = await loadAuthority({
        ...{ store: createFolderStore({ state: await temporaryState(t), trustDomain }), clock: time },
        ...{ random, trustDomain, log },
        first: async () => ({ origin: "plugged-in", material: root }),
      });
      const events = createEventRecorder({ client: writer, clock, random, log, instance: "trysail-0" });
      t.after(() => events.stop());
      const rotator = createRotator({
        ...{ authority, source: null, trustDomain, clock: time, random, log, pollMs: 1000, replicaLagMs: 0 },
        policy: { prepareAtShare: 0.5, propagationMs: 0, reconnectMs: 0 },
        facts: () => ({ observedSince: 0, unheard: null, proxies: 0, acknowledged: 0, behind: [] }),
        onExpiring: (expiry) => recordExpiry(events, { ...AUTHORITY_SECRET, namespace }, expiry),
      });
      t.after(() => rotator.stop());
      const told = async () => {
        const { body } = await kubernetes.call("GET", `/apis/events.k8s.io/v1/namespaces/${namespace}/events`);
        return body.items
          .filter(({ action }: { action: string }) => action === "RotateAuthority")
          .map(({ reason, type, regarding, note }: EventShape) => [reason, type, regarding.kind, regarding.name, note])
          .sort();
      };
      await rotator.start();
      const end = Math.floor((time.now() + 100 * DAY_MS) / 1000) * 1000;
      const before: unknown[] = [];
      for (const [daysLeft, reason] of [
        [31, null],
        [29.9, "AuthorityExpires"],
        [6.9, "AuthorityExpires"],
        [0.9, "AuthorityExpires"],
        [-0.1, "AuthorityExpired"],
      ] as const) {
        time.set(end - daysLeft * DAY_MS);
        if (reason !== null) before.push([reason, "Warning", "Secret", "trysail-ca-secret"]);
        await until(`what is told with ${daysLeft} days left`, async () => {
          time.advance(1000);
          const now = (await told()).map((event: unknown[]) => event.slice(0, 4));
          assert.deepEqual(now, [...before].sort());
          return true;
        });
      }
      const notes = new Set((await told()).map((event: unknown[]) => event[4]));
      assert.equal(notes.size, 4, [...notes].join("; "));
    },
  );

  await t.test("a Secret cacerts is preferred, and followed", async (t) => {
    const root = newRoot();
    await create(kubernetes, SECRETS, secretObject("cacerts", root.files));
    const { authority, source } = await open(t);
    assert.equal(authority.trustBundlePem(), root.certificatePem);
    assert.equal(authority.state().active.origin, "plugged-in");
    const next = newRoot();
    const replaced = await kubernetes.call("PUT", `${SECRETS}/cacerts`, secretObject("cacerts", next.files));
    assert.equal(replaced.status, 200);
    assert.equal((await source?.read())?.certificatePem, next.certificatePem);

    const lists = async () => Buffer.from((await source?.readRevocationLists())?.bytes ?? []).toString();
    assert.equal(await lists(), "");
    const listed = secretObject("cacerts", { ...next.files, "ca-crl.pem": "lists" });
    assert.equal((await kubernetes.call("PUT", `${SECRETS}/cacerts`, listed)).status, 200);
    assert.equal(await lists(), "lists");
    await forget();
  });

  await t.test("every namespace has the trust bundle, and has it back within 2 s", async (t) => {
    const [first, second] = [newRoot().certificatePem, newRoot().certificatePem];
    const names = ["trysail-ca-root-cert", "istio-ca-root-cert"];
    const time = createManualClock(Date.now());
    const keeper = createRootCertificateKeeper({ client, clock: time, random, log, names, trustBundlePem: first });
    t.after(() => keeper.stop());
    const path = (where: string, name: string) => `/api/v1/namespaces/${where}/configmaps/${name}`;
    const holds = (where: string, pem: string) =>
      until(
        `${where} to have it`,
        async () => {
          const answers = await Promise.all(names.map((name) => kubernetes.call("GET", path(where, name))));
          return answers.every(({ body }) => body.data?.["root-cert.pem"] === pem);
        },
        PATIENT,
      );
    const holdsSoon = async (where: string, pem: string) => {
      time.advance(SOON_MS);
      await holds(where, pem);
    };
    const everywhere = ["default", "kube-system", namespace];
    for (const where of everywhere) await holds(where, first);

    await create(kubernetes, "/api/v1/namespaces", namespaceObject("shop"));
    await holdsSoon("shop", first);
    for (const name of names) assert.equal((await kubernetes.call("DELETE", path("shop", name))).status, 200);
    await holdsSoon("shop", first);
    const edit = { data: { "root-cert.pem": "somebody else's", other: "stays" } };
    await kubernetes.call("PATCH", path("shop", names[0] ?? ""), edit, "application/merge-patch+json");
    await holdsSoon("shop", first);
    const { body } = await kubernetes.call("GET", path("shop", names[0] ?? ""));
    assert.equal(body.data.other, "stays");
    keeper.setTrustBundle(first + second);
    for (const where of [...everywhere, "shop"]) await holds(where, first + second);
  });

  await t.test(
    "where the trust bundle may not be written, the log names the right once, until it is granted",
    async (t) => {
      const names = ["trysail-ca-root-cert"];
      const path = "/api/v1/namespaces/default/configmaps/trysail-ca-root-cert";
      const reader = await podClient(t, kubernetes, {
        name: "reader",
        rules: [{ apiGroups: [""], resources: ["namespaces", "configmaps"], verbs: ["list", "watch"] }],
      });
      const lines: string[] = [];
      const warnings = createLog("warn", { write: (line) => lines.push(line) });
      const time = createManualClock(Date.now());
      const trustBundlePem = newRoot().certificatePem;
      const keeper = createRootCertificateKeeper({
        ...{ client: reader, clock: time, random, names, trustBundlePem, log: warnings },
      });
      t.after(() => keeper.stop());
      await until("a line", () => lines.length > 0, PATIENT);
      assert.match(lines[0] ?? "", /cannot patch resource \\"configmaps\\"/);
      await reader.setRules([{ apiGroups: [""], resources: ["namespaces", "configmaps"], verbs: ["*"] }]);
      await until(
        "the trust bundle",
        async () => {
          time.advance(10_000);
          const { body } = await kubernetes.call("GET", path);
          return body.data?.["root-cert.pem"] === trustBundlePem;
        },
        PATIENT,
      );
      assert.equal(lines.length, 1, lines.join(""));
    },
  );
});
