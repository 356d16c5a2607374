import assert from "node:assert/strict";
import { test } from "node:test";
import type { ContainerStatus } from "./container-runner.ts";
import { describeChanges, renderTable } from "./live-table.ts";
import type { PodStatus } from "./pod-status.ts";

function container(fields: Partial<ContainerStatus> = {}): ContainerStatus {
  const state = { kind: "running", startedAt: 0 } as const;
  return { name: "web", image: "web", state, started: true, ready: true, restarts: 0, ...fields };
}

function pod(fields: Partial<PodStatus> = {}): PodStatus {
  return {
    name: "web-1",
    namespace: "shop",
    phase: "Running",
    reason: "Running",
    message: "",
    ready: true,
    terminating: false,
    createdAt: 0,
    initContainers: [],
    containers: [container()],
    ...fields,
  };
}

test("a table has one line a pod, and what is wrong below its pod", () => {
  const crashing = pod({
    name: "crash-1",
    reason: "CrashLoopBackOff",
    message: "container web: exited with 3",
    containers: [container({ ready: false, restarts: 4 })],
  });
  assert.deepEqual(renderTable([pod(), crashing], 65_000, 80), [
    "NAMESPACE  POD      READY  STATUS            RESTARTS  AGE  IP",
    "shop       web-1    1/1    Running           0         65s",
    "shop       crash-1  0/1    CrashLoopBackOff  4         65s",
    "    container web: exited with 3",
  ]);
});

test("no line is wider than the terminal", () => {
  for (const line of renderTable([pod({ message: "x".repeat(500) })], 0, 40)) assert.ok(line.length <= 40);
});

test("no text of a pod can write control sequences to the terminal", () => {
  const evil = pod({ name: "\u001b[2Jweb", reason: "a\u202eb", message: "said\n\u001b[31m" });
  const lines = [...renderTable([evil], 0, 200), ...describeChanges(new Map(), [evil]).lines];
  assert.equal(lines.length, 4);
  for (const line of lines) assert.doesNotMatch(line, /[\p{Cc}\p{Cf}]/u);
});

test("changes are told once, and an end as well", () => {
  const first = describeChanges(new Map(), [pod({ ready: false, containers: [container({ ready: false })] })]);
  assert.deepEqual(first.lines, ["shop/web-1 0/1 Running"]);
  const second = describeChanges(first.now, [pod()]);
  assert.deepEqual(second.lines, ["shop/web-1 1/1 Running"]);
  assert.deepEqual(describeChanges(second.now, [pod()]).lines, []);
  assert.deepEqual(describeChanges(second.now, []).lines, ["shop/web-1 gone"]);
});
