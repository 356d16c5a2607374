import assert from "node:assert/strict";
import { test } from "node:test";
import { resourcePath } from "../../src/kubernetes/resource-path.ts";
import type { WatchEvent } from "../../src/kubernetes/watch-events.ts";
import { TrysailError } from "../../src/platform/errors.ts";
import { until } from "../support/until.ts";
import { findKubernetes } from "./programs.ts";
import { adminClient, podClient } from "./service-account.ts";
import { startKubernetes } from "./start-kubernetes.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : false;
const configMaps = { apiVersion: "v1", resource: "configmaps", namespace: "default" };
const at = (name: string) => resourcePath({ ...configMaps, name });
const collection = resourcePath(configMaps);

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const result: T[] = [];
  for await (const item of items) result.push(item);
  return result;
}

function withCode(code: TrysailError["code"], message = /./) {
  return (thrown: unknown) => thrown instanceof TrysailError && thrown.code === code && message.test(thrown.message);
}

test("the client of Kubernetes' API", { skip, timeout: 180_000 }, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, found.programs);
  const client = await adminClient(t, kubernetes);

  await t.test("creates, reads, replaces, patches and deletes by the administrator's kubeconfig", async () => {
    const created = await client.create(collection, { metadata: { name: "one" }, data: { a: "1" } });
    await assert.rejects(client.create(collection, { metadata: { name: "one" } }), withCode("already-exists"));
    const replaced = await client.replace(at("one"), { ...created, data: { a: "2" } });
    assert.deepEqual(replaced.data, { a: "2" });
    await assert.rejects(client.replace(at("one"), { ...created, data: { a: "3" } }), withCode("aborted"));
    const patched = await client.patch(at("one"), { type: "merge", object: { data: { b: "1" } } });
    assert.deepEqual(patched.data, { a: "2", b: "1" });
    const operations = [{ op: "test", path: "/data/a", value: "9" }];
    await assert.rejects(client.patch(at("one"), { type: "json", operations }), withCode("invalid-argument"));
    const applied = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "one" }, data: { c: "1" } };
    await client.patch(at("one"), { type: "apply", object: applied, fieldManager: "test", force: false });
    assert.deepEqual((await client.get(at("one"))).data, { a: "2", b: "1", c: "1" });
    await assert.rejects(client.delete(at("one"), { uid: "another" }), withCode("aborted"));
    await client.delete(at("one"));
    await assert.rejects(client.get(at("one")), withCode("not-found", /configmaps "one" not found/));
    await assert.rejects(client.create(collection, { metadata: { name: "!" } }), withCode("invalid-argument"));
  });

  await t.test("a dry run changes nothing", async () => {
    await client.create(collection, { metadata: { name: "dry" } }, { query: { dryRun: "All" } });
    await assert.rejects(client.get(at("dry")), withCode("not-found"));
  });

  await t.test("lists page by page", async () => {
    for (let i = 0; i < 7; i++)
      await client.create(collection, { metadata: { name: `page-${i}`, labels: { of: "page" } } });
    const pages = await all(client.list(collection, { pageSize: 3, query: { labelSelector: "of=page" } }));
    assert.deepEqual(
      pages.map(({ items, more }) => [items.length, more]),
      [
        [3, true],
        [3, true],
        [1, false],
      ],
    );
    assert.equal(new Set(pages.map(({ resourceVersion }) => resourceVersion)).size, 1);
  });

  await t.test("watches from a version on", async () => {
    const [page] = await all(client.list(collection, { pageSize: 0 }));
    const events: WatchEvent[] = [];
    const ended = new AbortController();
    const watching = (async () => {
      const options = { resourceVersion: page?.resourceVersion ?? "", lifeSeconds: 60, silenceMs: 60_000 };
      for await (const event of await client.watch(collection, { ...options, signal: ended.signal }))
        events.push(event);
    })();
    await client.create(collection, { metadata: { name: "seen" }, data: { text: "snow ☃".repeat(10_000) } });
    await client.delete(at("seen"));
    await until("both events", () => events.length === 2);
    assert.deepEqual(
      events.map(({ type, object }) => [type, object.metadata.name]),
      [
        ["ADDED", "seen"],
        ["DELETED", "seen"],
      ],
    );
    ended.abort();
    await assert.rejects(watching, withCode("unavailable"));
  });

  await t.test("a watch ends with its life", async () => {
    const [page] = await all(client.list(collection));
    const options = { resourceVersion: page?.resourceVersion ?? "", lifeSeconds: 1, silenceMs: 60_000 };
    assert.deepEqual(await all(await client.watch(collection, options)), []);
  });

  await t.test("a watch on which nothing is heard ends, and the next one goes on from there", async () => {
    const [page] = await all(client.list(collection));
    const options = { resourceVersion: page?.resourceVersion ?? "", lifeSeconds: 60, silenceMs: 200 };
    assert.deepEqual(await all(await client.watch(collection, options)), []);
    await client.create(collection, { metadata: { name: "heard" } });
    for await (const { type, object } of await client.watch(collection, { ...options, silenceMs: 60_000 })) {
      assert.deepEqual([type, object.metadata.name], ["ADDED", "heard"]);
      return;
    }
    assert.fail("the watch ended without the event");
  });

  await t.test("a pod's client may what its role says, and is told what is missing", async (t) => {
    const rules = [{ apiGroups: [""], resources: ["configmaps"], verbs: ["get"] }];
    const pod = await podClient(t, kubernetes, { name: "reader", rules });
    await until("the role to hold", async () => (await pod.get(at("page-1"))).metadata.name === "page-1");
    await assert.rejects(
      pod.delete(at("page-1")),
      withCode(
        "permission-denied",
        /"system:serviceaccount:trysail-system:reader" cannot delete resource "configmaps"/,
      ),
    );
  });

  await t.test("without an API server, calls say so", async () => {
    await kubernetes.stopApiServer();
    await assert.rejects(client.get(at("page-1")), withCode("unavailable", /ECONNREFUSED/));
    await kubernetes.startApiServer();
    assert.equal((await client.get(at("page-1"))).metadata.name, "page-1");
  });
});
