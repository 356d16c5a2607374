import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { createManualClock } from "../../test/support/manual-clock.ts";
import { isRecord } from "../mesh/conform.ts";
import { kindSchemaOf } from "../mesh/schemas.ts";
import { type ErrorCode, TrysailError } from "../platform/errors.ts";
import { createLog } from "../platform/log.ts";
import type { Condition, ObjectStatus } from "../status/object-status.ts";
import type { Patch } from "./client.ts";
import type { KubernetesObject } from "./object.ts";
import { createStatusKeeper } from "./status-keeper.ts";
import type { StatusLimits } from "./status-writer.ts";
import type { WatchEvent } from "./watch-events.ts";

const entry = kindSchemaOf("VirtualService");
assert.ok(entry);
const served = [{ entry, apiVersion: "networking.istio.io/v1", resource: "virtualservices" }];
const LIMITS = { perSecond: 10, burst: 5 };

/** A keeper before an API server that is played: what is patched comes back as an event, as it was or pruned. */
function keeperOf(t: TestContext, limits: Partial<StatusLimits> = LIMITS) {
  const clock = createManualClock(Date.parse("2026-01-02T03:04:05.678Z"));
  const objects = new Map<string, KubernetesObject>();
  const patches: { name: string; atMs: number; object: Record<string, unknown> }[] = [];
  const results: string[] = [];
  const warnings: string[] = [];
  const queue: WatchEvent[] = [];
  let wake = () => {};
  let version = 1;
  let failure: ErrorCode | undefined;
  let pruned = false;
  const emit = (type: WatchEvent["type"], object: KubernetesObject) => {
    queue.push({ type, object });
    wake();
  };
  const set = (name: string, own: { generation?: number; uid?: string; status?: unknown } = {}) => {
    const { generation = 1, uid = `uid-${name}`, status } = own;
    const metadata = { name, namespace: "shop", uid, generation, resourceVersion: String(++version) };
    const object: KubernetesObject = { metadata, status };
    objects.set(name, object);
    emit("MODIFIED", object);
  };
  const keeper = createStatusKeeper({
    client: {
      async *list() {
        yield { items: [...objects.values()], resourceVersion: String(version), more: false };
      },
      async watch(_path, { signal }) {
        return (async function* () {
          while (signal?.aborted !== true) {
            for (const event of queue.splice(0)) yield event;
            if (queue.length > 0) continue;
            await new Promise<void>((resolve) => {
              wake = resolve;
              signal?.addEventListener("abort", () => resolve());
            });
          }
        })();
      },
      async patch(path: string, patch: Patch) {
        assert.ok(patch.type === "merge" && isRecord(patch.object) && isRecord(patch.object.metadata));
        const [, name = ""] = /\/namespaces\/shop\/virtualservices\/([^/]+)\/status$/.exec(path) ?? [];
        patches.push({ name, atMs: clock.now(), object: patch.object });
        if (failure !== undefined) throw new TrysailError(failure, "played");
        const held = objects.get(name);
        if (held === undefined) throw new TrysailError("not-found", "played");
        if (held.metadata.resourceVersion !== patch.object.metadata.resourceVersion) {
          throw new TrysailError("aborted", "played");
        }
        const status = pruned ? undefined : patch.object.status;
        const object = { ...held, metadata: { ...held.metadata, resourceVersion: String(++version) }, status };
        objects.set(name, object);
        emit("MODIFIED", object);
        return object;
      },
    },
    clock,
    random: { fraction: () => 0 },
    log: createLog("warn", { write: (line) => void warnings.push(line) }),
    metrics: { written: (result) => void results.push(result) },
    limits,
  });
  t.after(() => {
    keeper.stop();
    wake();
  });
  return {
    ...{ objects, patches, results, warnings, set, clock },
    keep: (...statuses: ObjectStatus[]) => keeper.setStatuses(statuses, served),
    stop: () => keeper.stop(),
    remove(name: string) {
      const object = objects.get(name);
      objects.delete(name);
      if (object !== undefined) emit("DELETED", object);
    },
    fail(code: ErrorCode | undefined) {
      failure = code;
    },
    prune() {
      pruned = true;
    },
    async pass(ms: number) {
      for (let i = 0; i < ms; i += 50) {
        clock.advance(50);
        for (let j = 0; j < 30; j++) await turn();
      }
    },
  };
}

function status(name: string, own: Partial<ObjectStatus> & { held?: Partial<Condition> } = {}): ObjectStatus {
  const { held, ...rest } = own;
  return {
    object: { kind: "VirtualService", namespace: "shop", name },
    uid: `uid-${name}`,
    observedGeneration: 1,
    conditions: [{ type: "Accepted", status: "True", reason: "Accepted", message: "in use", ...held }],
    validationMessages: [],
    ...rest,
  };
}

test("a status is written once, for the version that was seen, and its own event causes no other write", async (t) => {
  const api = keeperOf(t);
  api.set("web");
  api.keep(status("web"));
  await api.pass(60_000);
  assert.deepEqual(
    api.patches.map(({ object }) => object),
    [
      {
        metadata: { resourceVersion: "2" },
        status: {
          observedGeneration: 1,
          conditions: [
            {
              ...{ type: "Accepted", status: "True", reason: "Accepted", message: "in use" },
              lastTransitionTime: "2026-01-02T03:04:05Z",
            },
          ],
          validationMessages: [],
        },
      },
    ],
  );
});

test("what is as it should be is not written, as behind a change of leaders", async (t) => {
  const api = keeperOf(t);
  const { conditions, observedGeneration } = status("web");
  api.set("web", { status: { conditions, observedGeneration } });
  api.keep(status("web"));
  await api.pass(10_000);
  assert.equal(api.patches.length, 0);
});

test("numbers that an earlier leader wrote stay for a while, since proxies are about to come back", async (t) => {
  const api = keeperOf(t, { ...LIMITS, numbersMs: 30_000 });
  const { conditions, observedGeneration } = status("web", { held: { message: "9 of 9" } });
  api.set("web", { status: { conditions, observedGeneration } });
  api.keep(status("web", { held: { message: "0 of 0" } }));
  await api.pass(20_000);
  api.keep(status("web", { held: { message: "9 of 9" } }));
  await api.pass(60_000);
  assert.equal(api.patches.length, 0);
});

test("the time of a transition moves with the status of a condition, not with its words", async (t) => {
  const api = keeperOf(t, { ...LIMITS, numbersMs: 1000 });
  api.set("web");
  const timeOf = () => {
    const held = api.objects.get("web")?.status;
    const [condition] = isRecord(held) && Array.isArray(held.conditions) ? held.conditions : [];
    return condition?.lastTransitionTime;
  };
  api.keep(status("web"));
  await api.pass(5000);
  const first = timeOf();
  api.keep(status("web", { held: { message: "3 of 3 proxies" } }));
  await api.pass(5000);
  assert.equal(api.patches.length, 2);
  assert.equal(timeOf(), first);
  api.keep(status("web", { held: { status: "False", reason: "SchemaInvalid" } }));
  await api.pass(5000);
  assert.notEqual(timeOf(), first);
});

test("numbers wait, a verdict does not", async (t) => {
  const api = keeperOf(t, { ...LIMITS, numbersMs: 30_000 });
  api.set("web");
  api.keep(status("web"));
  await api.pass(2000);
  for (let i = 0; i < 10; i++) {
    api.keep(status("web", { held: { message: `${i} of 10` } }));
    await api.pass(1000);
  }
  assert.equal(api.patches.length, 1);
  await api.pass(30_000);
  assert.equal(api.patches.length, 2);
  api.keep(status("web", { held: { status: "False" } }));
  await api.pass(2000);
  assert.equal(api.patches.length, 3);
});

test("no more is written than the limits allow, and all of it in the end", async (t) => {
  const api = keeperOf(t);
  const names = Array.from({ length: 55 }, (_, i) => `web-${i}`);
  for (const name of names) api.set(name);
  api.keep(...names.map((name) => status(name)));
  await api.pass(1000);
  assert.ok(api.patches.length >= 5 && api.patches.length <= 16, `${api.patches.length} in the first second`);
  await api.pass(6000);
  assert.deepEqual(api.patches.map(({ name }) => name).toSorted(), names.toSorted());
});

test("an object of another version, or another object of the name, is left alone", async (t) => {
  const api = keeperOf(t);
  api.set("newer", { generation: 2 });
  api.set("other", { uid: "another" });
  api.keep(status("newer"), status("other"));
  await api.pass(5000);
  assert.equal(api.patches.length, 0);
  api.keep(status("newer", { observedGeneration: 2 }), status("other", { uid: "another" }));
  await api.pass(5000);
  assert.deepEqual(
    api.patches.map(({ name }) => name),
    ["newer", "other"],
  );
});

test("an object that is deleted meanwhile is forgotten", async (t) => {
  const api = keeperOf(t);
  api.set("web");
  api.keep(status("web"));
  await api.pass(2000);
  api.remove("web");
  api.keep(status("web", { held: { status: "False" } }));
  await api.pass(120_000);
  assert.deepEqual(api.results, ["written", "gone"], "one attempt, before the news came");
  assert.deepEqual(api.warnings, []);
});

test("a conflict is tried again with the version that came meanwhile", async (t) => {
  const api = keeperOf(t);
  api.set("web");
  api.fail("aborted");
  api.keep(status("web"));
  await api.pass(500);
  const tries = api.patches.length;
  assert.ok(tries >= 1 && tries <= 4, `${tries}`);
  api.fail(undefined);
  api.set("web");
  await api.pass(2000);
  assert.deepEqual([api.results.at(-1), api.patches.length], ["written", tries + 1]);
});

test("a missing right is said once, with its name, and tried again once a minute", async (t) => {
  const api = keeperOf(t);
  for (let i = 0; i < 20; i++) api.set(`web-${i}`);
  api.fail("permission-denied");
  api.keep(...Array.from({ length: 20 }, (_, i) => status(`web-${i}`)));
  await api.pass(200_000);
  assert.equal(api.warnings.length, 1);
  assert.match(api.warnings[0] ?? "", /may not patch virtualservices\/status\.networking\.istio\.io: grant it/);
  assert.ok(api.patches.length <= 16, `${api.patches.length} attempts`);
  api.fail(undefined);
  await api.pass(70_000);
  assert.equal(api.results.filter((result) => result === "written").length, 20);
});

test("a server that is away is asked ever more rarely, and told of once", async (t) => {
  const api = keeperOf(t);
  for (let i = 0; i < 20; i++) api.set(`web-${i}`);
  api.fail("unavailable");
  api.keep(...Array.from({ length: 20 }, (_, i) => status(`web-${i}`)));
  await api.pass(60_000);
  assert.ok(api.patches.length <= 30, `${api.patches.length} attempts`);
  assert.equal(api.warnings.length, 1);
});

test("a status that is refused is not sent in a loop", async (t) => {
  const api = keeperOf(t);
  api.set("web");
  api.fail("invalid-argument");
  api.keep(status("web"));
  await api.pass(59_000);
  assert.deepEqual([api.patches.length, api.warnings.length], [1, 1]);
});

test("whoever undoes what is written is not fought, but ever more rarely", async (t) => {
  const api = keeperOf(t);
  api.prune();
  api.set("web");
  api.keep(status("web"));
  await api.pass(240_000);
  assert.ok(api.patches.length >= 5 && api.patches.length <= 12, `${api.patches.length} writes in 4 minutes`);
});

test("conditions of others are repeated as they were", async (t) => {
  const api = keeperOf(t);
  const foreign = { type: "example.com/Seen", status: "True", extra: [1] };
  api.set("web", { status: { conditions: [foreign, { type: "Accepted", status: "Unknown" }], ancestors: [] } });
  api.keep(status("web"));
  await api.pass(2000);
  const [patch] = api.patches;
  assert.ok(isRecord(patch?.object.status) && Array.isArray(patch.object.status.conditions));
  assert.deepEqual(patch.object.status.conditions[0], foreign);
  assert.deepEqual(
    patch.object.status.conditions.map(({ type }: { type: string }) => type),
    ["example.com/Seen", "Accepted"],
  );
  assert.ok(!("ancestors" in patch.object.status), "a merge patch keeps what it does not name");
});

test("nothing is written behind the stop", async (t) => {
  const api = keeperOf(t);
  for (let i = 0; i < 30; i++) api.set(`web-${i}`);
  api.keep(...Array.from({ length: 30 }, (_, i) => status(`web-${i}`)));
  await api.pass(500);
  const before = api.patches.length;
  assert.ok(before > 0 && before < 30);
  api.stop();
  await api.pass(10_000);
  assert.equal(api.patches.length, before);
});
