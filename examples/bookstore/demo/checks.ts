import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type PresentedCertificate, presentedCertificate } from "./certificate.ts";
import { failures, type Outcome, underLoad, visit, visits } from "./load.ts";
import type { Mesh, Pod } from "./mesh.ts";

/** What a check found; it holds, or it fails the demo. */
export interface Finding {
  readonly holds: boolean;
  readonly text: string;
}

export interface Check {
  readonly title: string;
  run(): Promise<Finding | Finding[]>;
}

/** Every claim of the demo, in the order in which it is shown. */
export function buildChecks(mesh: Mesh): Check[] {
  const pods = mesh.pods();
  const page = `http://${podOf(pods, "page").ip}:9080`;
  return [
    { title: "pods injected", run: async () => injected(pods, mesh.report().reviewMs) },
    { title: "proxies in sync", run: () => proxiesInSync(mesh, pods.length) },
    { title: "identities presented", run: () => identities(mesh, pods) },
    { title: "plaintext refused", run: () => plaintextRefused(pods) },
    { title: "traffic split 90/10", run: () => trafficSplit(page) },
    { title: "header routed", run: () => headerRouted(page) },
    { title: "request denied", run: () => requestDenied(page) },
    { title: "certificates rotated", run: () => certificatesRotated(mesh, pods, page) },
    { title: "root rotated", run: () => rootRotated(mesh, pods, page) },
    { title: "route changed live", run: () => routeChanged(mesh, page) },
    { title: "control plane killed", run: () => controlPlaneKilled(mesh, pods.length, page) },
  ];
}

async function injected(pods: readonly Pod[], reviewMs: readonly number[]): Promise<Finding> {
  const count = pods.filter((pod) => pod.injected).length;
  const sorted = [...reviewMs].sort((a, b) => a - b);
  const median = sorted[Math.floor((sorted.length - 1) / 2)];
  return {
    holds: count > 0 && count === pods.length && reviewMs.length >= pods.length,
    text: `${count} of ${pods.length} by the webhook; a review takes ${median?.toFixed(1) ?? "?"} ms (p50)`,
  };
}

async function proxiesInSync(mesh: Mesh, expected: number): Promise<Finding> {
  const began = performance.now();
  let count = 0;
  while (count !== expected && performance.now() - began < 10_000) {
    count = (await mesh.proxies()).filter((proxy) => proxy.inSync).length;
    if (count !== expected) await sleep(20);
  }
  return { holds: count === expected, text: `${count} of ${expected} acknowledged everything they were sent` };
}

async function identities(mesh: Mesh, pods: readonly Pod[]): Promise<Finding[]> {
  const certificates = await presentedBy(mesh, pods);
  return pods.map((pod) => {
    const certificate = certificates.get(pod.name);
    if (certificate === undefined) return { holds: false, text: `${pod.name} presents none` };
    const { spiffeId, expiresAt } = certificate;
    const leftMs = expiresAt.getTime() - Date.now();
    return {
      holds: spiffeId === `spiffe://cluster.local/ns/bookstore/sa/${pod.serviceAccount}` && leftMs > 0,
      text: `${spiffeId}, expires ${expiresAt.toISOString()} (in ${(leftMs / 1000).toFixed(0)} s): ${pod.name}`,
    };
  });
}

/** By pod; who presents nothing valid at this moment is left out. */
async function presentedBy(mesh: Mesh, pods: readonly Pod[]): Promise<Map<string, PresentedCertificate>> {
  const entries = await Promise.all(
    pods.map(async (pod): Promise<[string, PresentedCertificate][]> => {
      try {
        return [[pod.name, await presentedCertificate(pod.ip, mesh.rootCertificate())]];
      } catch {
        return [];
      }
    }),
  );
  return new Map(entries.flat());
}

/** Whoever has no certificate is cut off at every pod under STRICT, and served by the page, which is PERMISSIVE. */
async function plaintextRefused(pods: readonly Pod[]): Promise<Finding> {
  const answers = await Promise.all(pods.map(async (pod) => ({ pod, answer: await plaintext(pod.ip) })));
  const strict = answers.filter(({ pod }) => pod.app !== "page");
  const refused = strict.filter(({ answer }) => answer === null);
  const permissive = answers.filter(({ pod }) => pod.app === "page");
  return {
    holds: strict.length > 0 && refused.length === strict.length && permissive.every(({ answer }) => answer === 200),
    text: `${refused.length} of ${strict.length} pods under STRICT cut it off; the page (PERMISSIVE) answers ${permissive
      .map(({ answer }) => answer ?? "nothing")
      .join(", ")}`,
  };
}

/** The status that a plaintext request is answered with, or null where the connection is cut. */
async function plaintext(ip: string): Promise<number | null> {
  try {
    const response = await fetch(`http://${ip}:9080/healthz`, { signal: AbortSignal.timeout(5000) });
    await response.arrayBuffer();
    return response.status;
  } catch (thrown) {
    if (thrown instanceof Error && thrown.name === "TimeoutError") throw new Error(`${ip} neither answers nor refuses`);
    return null;
  }
}

/** Four standard deviations of the binomial distribution around its mean: one honest run in 15,000 falls outside. */
async function trafficSplit(page: string): Promise<Finding> {
  const count = 500;
  const share = 0.1;
  const outcomes = await visits(page, count);
  const failed = failures(outcomes);
  const v1 = outcomes.filter(({ version }) => version === "v1").length;
  const v2 = outcomes.filter(({ version }) => version === "v2").length;
  const margin = 4 * Math.sqrt(count * share * (1 - share));
  const within = Math.abs(v2 - count * share) <= margin;
  const bounds = `${Math.ceil(count * share - margin)} to ${Math.floor(count * share + margin)}`;
  return {
    holds: within && v1 + v2 === count,
    text: `${count} requests: ${v1} to v1, ${v2} to v2 (${bounds} expected)${firstOf(failed)}`,
  };
}

async function headerRouted(page: string): Promise<Finding> {
  const outcomes = await Promise.all(Array.from({ length: 20 }, () => visit(page, { "x-reader": "editor" })));
  const v3 = outcomes.filter(({ version }) => version === "v3").length;
  return {
    holds: v3 === outcomes.length,
    text: `${v3} of ${outcomes.length} requests of an editor went to v3${firstOf(failures(outcomes))}`,
  };
}

async function requestDenied(page: string): Promise<Finding> {
  const response = await fetch(`${page}/api/ratings-directly`);
  const { status, body } = (await response.json()) as { status?: number; body?: string };
  return { holds: status === 403, text: `page → ratings: ${status} ${body ?? ""}` };
}

async function certificatesRotated(mesh: Mesh, pods: readonly Pod[], page: string): Promise<Finding> {
  const before = await presentedBy(mesh, pods);
  const { result, outcomes } = await underLoad(page, async () => {
    const began = performance.now();
    let renewed: Pod[] = [];
    while (renewed.length < pods.length && performance.now() - began < 45_000) {
      await sleep(200);
      const now = await presentedBy(mesh, pods);
      renewed = pods.filter(({ name }) => now.has(name) && now.get(name)?.serial !== before.get(name)?.serial);
    }
    return { renewed: renewed.length, tookMs: performance.now() - began };
  });
  const load = describeLoad(outcomes);
  return {
    holds: before.size === pods.length && result.renewed === pods.length && load.holds,
    text: `${result.renewed} of ${pods.length} workloads within ${seconds(result.tookMs)}; ${load.text}`,
  };
}

/** From one root to another: published, accepted, signing, and at last alone, while visitors come. */
async function rootRotated(mesh: Mesh, pods: readonly Pod[], page: string): Promise<Finding> {
  const firstRoot = mesh.rootCertificate();
  const active = async () => (await mesh.authority()).slots.find(({ slot }) => slot === "active")?.id;
  const before = await active();
  const { result, outcomes } = await underLoad(page, async () => {
    const began = performance.now();
    const within = async (limitMs: number, holds: () => Promise<boolean>) => {
      while (performance.now() - began < limitMs && !(await holds())) await sleep(200);
      return performance.now() - began;
    };
    await mesh.prepareRoot();
    const signsMs = await within(30_000, async () => (await active()) !== before);
    const aloneMs = await within(90_000, async () => (await mesh.authority()).slots.length === 1);
    return { signsMs, aloneMs, presented: await presentedBy(mesh, pods) };
  });
  const load = describeLoad(outcomes);
  const isNew = mesh.rootCertificate() !== firstRoot && !mesh.rootCertificate().includes(firstRoot);
  return {
    holds: isNew && result.presented.size === pods.length && load.holds,
    text:
      `the new root signs after ${seconds(result.signsMs)} and is alone after ${seconds(result.aloneMs)}, with ` +
      `${result.presented.size} of ${pods.length} workloads under it; ${load.text}`,
  };
}

/** Sends everyone to v3 by an edit of the manifest, as a user would, and watches proxies and visitors follow. */
async function routeChanged(mesh: Mesh, page: string): Promise<Finding> {
  const file = join(mesh.folder, "manifests", "traffic.yaml");
  const text = await readFile(file, "utf8");
  const before = new Map((await mesh.proxies()).map(({ nodeId, types }) => [nodeId, types.route?.ackedVersion]));
  const { result, outcomes } = await underLoad(page, async () => {
    await visits(page, 20);
    await writeFile(`${file}.new`, text.replace(/subset: v[12]\b/g, "subset: v3"));
    const editedAt = performance.now();
    await rename(`${file}.new`, file);
    let used = 0;
    while (used < before.size && performance.now() - editedAt < 15_000) {
      const proxies = await mesh.proxies();
      used = proxies.filter(
        ({ nodeId, inSync, types }) => inSync && types.route?.ackedVersion !== before.get(nodeId),
      ).length;
    }
    const usedAt = performance.now();
    return { used, usedAt, tookMs: usedAt - editedAt, visits: await visits(page, 200) };
  });
  const later = [...result.visits, ...outcomes.filter(({ startedAt }) => startedAt > result.usedAt)];
  const elsewhere = later.filter(({ version }) => version !== "v3").length;
  const load = describeLoad([...result.visits, ...outcomes]);
  return {
    holds: before.size > 0 && result.used === before.size && elsewhere === 0 && load.holds,
    text:
      `${result.used} of ${before.size} proxies used it after ${result.tookMs.toFixed(0)} ms, ` +
      `and of ${later.length} later requests ${elsewhere} went elsewhere; ${load.text}`,
  };
}

/** kill -9, and the runner starts it again: nobody notices but the proxies, who come back. */
async function controlPlaneKilled(mesh: Mesh, expected: number, page: string): Promise<Finding> {
  const { pid, restarts } = mesh.report().controlPlane;
  if (pid === undefined) return { holds: false, text: "the runner knows of none" };
  const { result, outcomes } = await underLoad(page, async () => {
    await visits(page, 20);
    const killedAt = performance.now();
    process.kill(pid, "SIGKILL");
    let restartedMs: number | null = null;
    let back = 0;
    while (back !== expected && performance.now() - killedAt < 60_000) {
      await sleep(20);
      if (mesh.report().controlPlane.restarts === restarts) continue;
      // Refused connections are what is to be expected while it is gone.
      const proxies = await mesh.proxies().catch(() => null);
      if (proxies === null) continue;
      restartedMs ??= performance.now() - killedAt;
      back = proxies.filter((proxy) => proxy.inSync).length;
    }
    return { back, restartedMs, tookMs: performance.now() - killedAt };
  });
  const load = describeLoad(outcomes);
  return {
    holds: result.back === expected && load.holds,
    text:
      `serving again after ${seconds(result.restartedMs ?? Number.NaN)}, with ${result.back} of ${expected} proxies ` +
      `in sync after ${seconds(result.tookMs)}; ${load.text}`,
  };
}

function describeLoad(outcomes: readonly Outcome[]): Finding {
  const failed = failures(outcomes);
  return {
    holds: outcomes.length > 0 && failed.length === 0,
    text: `${outcomes.length} requests meanwhile, ${failed.length} failed${firstOf(failed)}`,
  };
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function podOf(pods: readonly Pod[], app: string): Pod {
  const pod = pods.find((pod) => pod.app === app);
  if (pod === undefined) throw new Error(`no pod of ${app} runs`);
  return pod;
}

function firstOf(failed: readonly string[]): string {
  return failed[0] === undefined ? "" : `, the first with: ${failed[0].slice(0, 200)}`;
}
