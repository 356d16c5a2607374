import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { copyFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { AuthorityStatus } from "../../src/ca/authority/authority-status.ts";
import { type TestControlPlane, testControlPlane } from "../support/control-plane.ts";
import { envoyMissing, type RunningEnvoy } from "../support/envoy.ts";
import { type MutualTlsPair, startLoad, startPair } from "../support/mutual-tls-pair.ts";
import { temporaryPath } from "../support/state.ts";
import { until } from "../support/until.ts";

/** What of a mesh is replaced under load, at two real Envoys that make a new connection for every fifth request. */

const skip = envoyMissing();
const PER_SECOND = 200;
const SLOW = { timeoutMs: 40_000, everyMs: 50 };
const FAST_ROTATION = { workloadCertTtlMs: 6000, rootPropagationMs: 0 };

interface Presented {
  readonly serial: string;
  /** Serial numbers of the roots that it trusts, in order. */
  readonly trusts: readonly string[];
}

/** What an Envoy presents and trusts, in its own words. */
async function presentedBy(envoy: RunningEnvoy): Promise<Presented> {
  interface Certificates {
    readonly ca_cert: readonly { readonly serial_number: string }[];
    readonly cert_chain: readonly { readonly serial_number: string }[];
  }
  const { certificates }: { certificates: readonly Certificates[] } = JSON.parse(await envoy.admin("/certs"));
  const [own] = certificates;
  const serials = (list: Certificates["ca_cert"] = []) => list.map(({ serial_number }) => serial_number).sort();
  return { serial: serials(own?.cert_chain).join(), trusts: serials(own?.ca_cert) };
}

/** Asks the control plane for a step of its authority, as `trysail ca` does, or for its status. */
async function ca(mesh: TestControlPlane, step?: "prepare"): Promise<AuthorityStatus> {
  const token = await mesh.issuer.issue({
    namespace: "trysail-system",
    serviceAccount: "trysail",
    audience: "istio-ca",
    ttlMs: 60_000,
  });
  const response = await fetch(`http://127.0.0.1:${mesh.ports.http}/ca${step === undefined ? "" : `/${step}`}`, {
    headers: { authorization: `Bearer ${token}` },
    method: step === undefined ? "GET" : "POST",
  });
  assert.equal(response.status, 200, await response.clone().text());
  return (await response.json()) as AuthorityStatus;
}

function activeOf({ slots }: AuthorityStatus): string {
  return slots.find(({ slot }) => slot === "active")?.id ?? "";
}

async function renewed(pair: MutualTlsPair): Promise<void> {
  for (const envoy of [pair.client, pair.server]) {
    const before = (await presentedBy(envoy)).serial;
    await until("a new certificate", async () => (await presentedBy(envoy)).serial !== before, SLOW);
  }
}

/** Waits until the authority is another one, and alone, and both Envoys trust its root and no other. */
async function rotated(mesh: TestControlPlane, pair: MutualTlsPair, before: string): Promise<void> {
  await until("another authority to sign", async () => activeOf(await ca(mesh)) !== before, SLOW);
  const { facts } = await ca(mesh);
  assert.deepEqual([facts?.proxies, facts?.acknowledged], [2, 2]);
  await until("the old one to retire", async () => (await ca(mesh)).slots.length === 1, SLOW);
  const root = new X509Certificate(await readFile(mesh.rootPath)).serialNumber.replace(/^0+/, "").toLowerCase();
  for (const envoy of [pair.client, pair.server]) {
    await until("Envoy to trust the new root alone", async () => {
      const { trusts } = await presentedBy(envoy);
      return trusts.length === 1 && trusts[0]?.replace(/^0+/, "") === root;
    });
  }
}

async function makeCerts(...args: string[]): Promise<void> {
  const folder = fileURLToPath(new URL("../../certs", import.meta.url));
  await promisify(execFile)("make", ["-s", "-C", folder, ...args]);
}

async function bootstrapRoot(t: TestContext, mesh: TestControlPlane): Promise<string> {
  const path = await temporaryPath(t, "bootstrap-root.pem");
  await copyFile(mesh.rootPath, path);
  return path;
}

test("200 requests a second pass through leaf and root rotation, and none fails", { skip }, async (t) => {
  const mesh = await testControlPlane(t, {}, FAST_ROTATION);
  const rootFile = await bootstrapRoot(t, mesh);
  const pair = await startPair(t, mesh, rootFile);
  const load = startLoad(t, pair.port, PER_SECOND);
  await renewed(pair);
  const before = activeOf(await ca(mesh));
  await ca(mesh, "prepare");
  await rotated(mesh, pair, before);
  await renewed(pair);
  const { failures, requests, perSecond } = await load.stop();
  t.diagnostic(`${requests} requests, ${perSecond.toFixed(0)}/s, ${failures.length} failed`);
  assert.deepEqual(failures, []);
  assert.ok(perSecond > PER_SECOND * 0.9, `${perSecond} requests a second`);

  await t.test("an Envoy that has only ever heard of the first root still joins", async () => {
    const late = await startPair(t, mesh, rootFile);
    const lateLoad = startLoad(t, late.port, PER_SECOND);
    await renewed(late);
    assert.deepEqual((await lateLoad.stop()).failures, []);
  });
});

test("200 requests a second pass through a new intermediate and a new root that are plugged in", {
  skip,
}, async (t) => {
  const [one, two] = [await temporaryPath(t, "one"), await temporaryPath(t, "two")];
  await makeCerts("root", "intermediate", `OUT=${one}`);
  await makeCerts("root", "intermediate", `OUT=${two}`, "ROOT_NAME=Second", "KEY=rsa");
  const caDir = join(one, "cluster-1");
  const mesh = await testControlPlane(t, {}, { ...FAST_ROTATION, caDir });
  const pair = await startPair(t, mesh, await bootstrapRoot(t, mesh));
  const load = startLoad(t, pair.port, PER_SECOND);
  await renewed(pair);

  const first = activeOf(await ca(mesh));
  await makeCerts("intermediate", `OUT=${one}`);
  await rotated(mesh, pair, first);
  await renewed(pair);

  const second = activeOf(await ca(mesh));
  for (const file of ["root-cert", "cert-chain", "ca-key", "ca-cert"]) {
    await copyFile(join(two, "cluster-1", `${file}.pem`), join(caDir, `${file}.pem`));
  }
  await rotated(mesh, pair, second);
  await renewed(pair);
  const { failures, requests, perSecond } = await load.stop();
  t.diagnostic(`${requests} requests, ${perSecond.toFixed(0)}/s, ${failures.length} failed`);
  assert.deepEqual(failures, []);
  assert.ok(perSecond > PER_SECOND * 0.9, `${perSecond} requests a second`);
});
