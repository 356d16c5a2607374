import assert from "node:assert/strict";
import { test } from "node:test";
import { createManualClock, type ManualClock } from "../../test/support/manual-clock.ts";
import { TrysailError } from "../platform/errors.ts";
import type { ContainerProcess, Exit } from "./container-process.ts";
import { type ContainerRunner, type RestartRule, startContainerRunner } from "./container-runner.ts";
import type { Container } from "./pod.ts";

/** Lets promises come to their end between two moments of the manual clock. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

interface FakeProcess extends ContainerProcess {
  readonly signals: string[];
  exit(code: number): void;
}

function createFakeProcess(obedient: boolean): FakeProcess {
  const { promise, resolve } = Promise.withResolvers<Exit>();
  const signals: string[] = [];
  return {
    pid: 1,
    exited: promise,
    signals,
    exit: (code) => resolve({ code, signal: null }),
    signal(signal) {
      signals.push(signal);
      if (obedient) resolve({ code: 0, signal: null });
    },
    kill() {
      signals.push("SIGKILL");
      resolve({ code: 128, signal: "SIGKILL" });
    },
    exec: async () => ({ code: 0, output: "" }),
  };
}

interface Setup {
  readonly clock: ManualClock;
  readonly runner: ContainerRunner;
  readonly processes: FakeProcess[];
  /** What probes find. */
  health: boolean;
  advance(ms: number): Promise<void>;
}

function setUp(
  container: Partial<Container>,
  rule: RestartRule,
  options: { obedient?: boolean; launch?: (clock: ManualClock) => void } = {},
): Setup {
  const clock = createManualClock(0);
  const processes: FakeProcess[] = [];
  const runner = startContainerRunner(
    {
      clock,
      backOff: { baseMs: 1_000, maxMs: 4_000, resetAfterMs: 60_000 },
      podIp: "127.0.0.1",
      onChange: () => undefined,
      launch: async () => {
        options.launch?.(clock);
        const process = createFakeProcess(options.obedient ?? true);
        processes.push(process);
        return process;
      },
      check: async () => ({ ok: setup.health, message: "it says no" }),
    },
    { name: "web", image: "web", ...container },
    rule,
    5_000,
  );
  const setup: Setup = {
    clock,
    runner,
    processes,
    health: true,
    async advance(ms) {
      for (let left = ms; left > 0; left -= 250) {
        await settle();
        clock.advance(Math.min(250, left));
      }
      await settle();
    },
  };
  return setup;
}

test("a container that ends is started at once, then later each time", async () => {
  const starts: number[] = [];
  const { processes, runner, advance } = setUp({}, "always", { launch: (clock) => starts.push(clock.now()) });
  for (let time = 0; time < 13_000; time += 250) {
    processes.at(-1)?.exit(3);
    await advance(250);
  }
  const pauses = starts.slice(1).map((start, index) => start - (starts[index] ?? 0));
  assert.equal(pauses.length, 5);
  for (const [index, wantedMs] of [0, 1_000, 2_000, 4_000, 4_000].entries()) {
    const over = (pauses[index] ?? 0) - wantedMs;
    assert.ok(over >= 0 && over <= 250, `pause ${index} lasts ${pauses[index]} ms`); // time moves in steps of 250 ms
  }
  assert.equal(runner.status().restarts, 5);
});

test("the restart rule decides what an end means", async () => {
  const cases: [RestartRule, number, boolean][] = [
    ["always", 0, true],
    ["on-failure", 0, false],
    ["on-failure", 1, true],
    ["never", 1, false],
  ];
  for (const [rule, code, again] of cases) {
    const { processes, runner, advance } = setUp({}, rule);
    await advance(1);
    processes[0]?.exit(code);
    await advance(500);
    assert.equal(processes.length, again ? 2 : 1, `${rule} ${code}`);
    if (!again) assert.equal(await runner.finished, code);
  }
});

test("it is started and ready without probes, and with them only when they say so", async () => {
  const plain = setUp({}, "always");
  await plain.advance(1);
  assert.deepEqual([plain.runner.status().started, plain.runner.status().ready], [true, true]);

  const probed = setUp({ startupProbe: { periodSeconds: 1 }, readinessProbe: { periodSeconds: 1 } }, "always");
  probed.health = false;
  await probed.advance(1_000);
  assert.deepEqual([probed.runner.status().started, probed.runner.status().ready], [false, false]);
  probed.health = true;
  await probed.advance(1_000);
  assert.deepEqual([probed.runner.status().started, probed.runner.status().ready], [true, true]);
});

test("readiness comes and goes without a restart", async () => {
  const setup = setUp({ readinessProbe: { periodSeconds: 1, failureThreshold: 2 } }, "always");
  await setup.advance(500);
  assert.equal(setup.runner.status().ready, true);
  setup.health = false;
  await setup.advance(3_000);
  assert.equal(setup.runner.status().ready, false);
  assert.match(setup.runner.status().complaint ?? "", /readiness probe: it says no/);
  setup.health = true;
  await setup.advance(1_500);
  assert.equal(setup.runner.status().ready, true);
  assert.equal(setup.processes.length, 1);
});

test("a failed liveness probe ends the container in order, and it is started again", async () => {
  const setup = setUp({ livenessProbe: { periodSeconds: 1, failureThreshold: 2 } }, "always");
  await setup.advance(500);
  setup.health = false;
  await setup.advance(3_000);
  assert.equal(setup.processes[0]?.signals[0], "SIGTERM");
  assert.equal(setup.runner.status().restarts >= 1, true);
});

test("a startup probe that fails often enough restarts the container; liveness does not count before it", async () => {
  const probes = {
    startupProbe: { periodSeconds: 1, failureThreshold: 3 },
    livenessProbe: { periodSeconds: 1, failureThreshold: 1 },
  };
  const setup = setUp(probes, "always");
  setup.health = false;
  await setup.advance(1_500);
  assert.equal(setup.processes.length, 1);
  await setup.advance(2_500);
  assert.equal(setup.processes.length, 2);
});

test("a stop waits for the grace period, then kills", async () => {
  const { runner, processes, advance, clock } = setUp({}, "always", { obedient: false });
  await advance(1);
  let stopped = false;
  void runner.stop(2_000).then(() => {
    stopped = true;
  });
  await advance(1_500);
  assert.deepEqual([processes[0]?.signals, stopped], [["SIGTERM"], false]);
  await advance(1_000);
  assert.deepEqual([processes[0]?.signals, stopped], [["SIGTERM", "SIGKILL"], true]);
  await advance(10_000);
  assert.equal(processes.length, 1, "nothing is started behind a stop");
  assert.ok(clock.now() > 0);
});

test("a container that cannot be started says why, and is tried again", async () => {
  let problem: TrysailError | undefined = new TrysailError("failed-precondition", "ConfigMap settings not found");
  const launch = () => {
    if (problem !== undefined) throw problem;
  };
  const { runner, processes, advance } = setUp({}, "always", { launch });
  await advance(1);
  assert.deepEqual(runner.status().state, {
    kind: "waiting",
    reason: "CreateContainerConfigError",
    message: "ConfigMap settings not found",
  });
  problem = undefined;
  await advance(1_500);
  assert.equal(processes.length, 1);
  assert.equal(runner.status().restarts, 0);
});

test("an unmapped image has a reason of its own", async () => {
  const launch = () => {
    throw new TrysailError("not-found", "no local command");
  };
  const { runner, advance } = setUp({}, "always", { launch });
  await advance(1);
  const { state } = runner.status();
  assert.equal(state.kind === "waiting" && state.reason, "ImageNotMapped");
});
