import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { createManualClock } from "../../../test/support/manual-clock.ts";
import type { ListPage } from "../../kubernetes/client.ts";
import { TrysailError } from "../../platform/errors.ts";
import { type CheckLine, type CheckTarget, runChecks } from "./check.ts";
import { checks } from "./checks.ts";

const NOW_MS = Date.UTC(2026, 0);

/** A cluster of which only a few things are known; whoever asks for more is told that it is not there. */
function targetWith(known: {
  readonly version?: object;
  readonly serverTime?: number;
  readonly lists?: Readonly<Record<string, readonly object[]>>;
}): CheckTarget {
  const missing = async (path: string): Promise<never> => {
    throw new TrysailError("not-found", `GET ${path}: not found`);
  };
  async function* list(path: string): AsyncGenerator<ListPage> {
    const items = known.lists?.[path];
    if (items === undefined) throw new TrysailError("not-found", `GET ${path}: not found`);
    yield { items: items.map((item) => ({ metadata: {}, ...item })), resourceVersion: "1", more: false };
  }
  return {
    client: {
      getDocument: async () => ({ major: "1", minor: "34", gitVersion: "v1.34.0", ...known.version }),
      serverTime: async () => known.serverTime ?? 0,
      get: missing,
      create: missing,
      list,
    },
    clock: createManualClock(NOW_MS),
    isInstalled: false,
    systemNamespace: "trysail-system",
    revision: "default",
    openPort: () => missing("a port"),
  };
}

async function linesOf(name: string, known: Parameters<typeof targetWith>[0]): Promise<readonly string[]> {
  const only = checks.filter((check) => check.name === name);
  assert.equal(only.length, 1);
  const lines = await runChecks(only, targetWith(known));
  return lines.map(
    (line: CheckLine) => `${line.status}: ${line.message}${"action" in line ? ` → ${line.action}` : ""}`,
  );
}

const versions: readonly [major: string, minor: string, expected: RegExp][] = [
  ["1", "34", /^pass: Kubernetes v1$/],
  ["2", "0", /^pass/],
  ["1", "29+", /^pass/],
  ["1", "28+", /^warn: Kubernetes v1 has no native sidecars → sidecars are containers beside the app/],
  ["1", "27", /^fail: Kubernetes v1 is too old → upgrade it to 1\.28 or newer$/],
  ["", "", /^warn: Kubernetes v1 says no version/],
];
for (const [major, minor, expected] of versions) {
  test(`Kubernetes ${major}.${minor}: ${expected.source}`, async () => {
    const [line = ""] = await linesOf("version", { version: { major, minor, gitVersion: "v1" } });
    assert.match(line, expected);
  });
}

const NODE_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
const clocks: readonly [title: string, aheadMs: number, expected: RegExp][] = [
  ["as far as whole seconds tell", 400, /^pass: this machine and the API server agree to 0\.\d s$/],
  ["a minute ahead", 60_000, /^warn: this machine is 59\.5 s ahead of the API server → set the clock/],
  ["a minute behind", -60_000, /^warn: this machine is 60\.5 s behind the API server/],
];
for (const [title, aheadMs, expected] of clocks) {
  test(`a clock ${title}`, async () => {
    const serverTime = NOW_MS - aheadMs;
    const lists = { [NODE_LEASES]: [{ spec: { renewTime: new Date(serverTime - 9000).toISOString() } }] };
    const lines = await linesOf("clocks", { serverTime, lists });
    assert.match(lines[0] ?? "", expected);
    assert.equal(lines[1], "pass: none of 1 nodes is ahead of the API server");
  });
}

test("nodes that cannot, or may not, run meshed pods are named", async () => {
  const node = (name: string, operatingSystem: string, kernelVersion: string) => ({
    metadata: { name },
    status: { nodeInfo: { operatingSystem, kernelVersion } },
  });
  const nodes = [
    node("new", "linux", "6.1.0-25-cloud"),
    node("old", "linux", "4.18.0-553.el8"),
    node("edge", "linux", "4.19.0"),
    node("win", "windows", "10.0"),
  ];
  const lists = { "/api/v1/nodes": nodes, "/api/v1/namespaces": [] };
  const lines = await linesOf("interception", { lists });
  assert.match(lines[0] ?? "", /^warn: Windows nodes, .*: win →/);
  assert.match(lines[1] ?? "", /^warn: kernels older than 4\.19, .*: old \(4\.18\.0-553\.el8\) →/);
  assert.match(lines[2] ?? "", /^pass: 4 nodes; kernel modules cannot be seen/);
});

test("a check that cannot be asked is a line, and the next one is asked", async () => {
  const lines = await runChecks(checks, targetWith({}));
  const failed = lines.filter(
    ({ status, message }) => status === "fail" && message.startsWith("cannot be told: GET /"),
  );
  assert.ok(failed.length > 3, JSON.stringify(lines));
  assert.ok(lines.some(({ check, status }) => check === "version" && status === "pass"));
});

test("docs/check.md has a row for each check, in their order", () => {
  const text = readFileSync(new URL("../../../docs/check.md", import.meta.url), "utf8");
  const rows = [...text.matchAll(/^\| ([\w ]+) \| (always|after|before) \|/gm)].map(([, name, when]) => [name, when]);
  assert.deepEqual(
    rows,
    checks.map(({ name, when }) => [name, when]),
  );
});
