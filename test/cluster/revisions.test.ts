import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { type TestContext, test } from "node:test";
import { parseAllDocuments } from "yaml";
import { type TestControlPlane, testControlPlane } from "../support/control-plane.ts";
import { temporaryPath } from "../support/state.ts";
import { until } from "../support/until.ts";
import { create } from "./create.ts";
import { everyIstioKind, installIstioKinds } from "./istio-crds.ts";
import { findKubernetes } from "./programs.ts";
import { startKubernetes, type TestKubernetes } from "./start-kubernetes.ts";
import { trysail } from "./trysail.ts";
import { registerInjection, webhookOptions } from "./webhooks.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : false;
const NAMESPACES = {
  "trysail-system": {},
  old: { "istio-injection": "enabled" },
  next: { "istio.io/rev": "canary" },
  tagged: { "istio.io/rev": "prod" },
  plain: {},
};
const CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
const pods = (namespace: string) => `/api/v1/namespaces/${namespace}/pods`;

test("two control planes beside each other", { skip, timeout: 180_000 }, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, { ...found.programs, controllerManager: null });
  await installIstioKinds(kubernetes, everyIstioKind);
  for (const [name, labels] of Object.entries(NAMESPACES)) {
    await create(kubernetes, "/api/v1/namespaces", { metadata: { name, labels } });
    await create(kubernetes, `/api/v1/namespaces/${name}/serviceaccounts`, { metadata: { name: "default" } });
  }
  const planes = {
    default: await controlPlane(t, kubernetes, "default"),
    canary: await controlPlane(t, kubernetes, "canary"),
  };
  const tag = (...args: string[]) => trysail("tag", ...args, "--kubeconfig", kubernetes.kubeconfig);
  const label = async (namespace: string, labels: Readonly<Record<string, string | null>>) => {
    const patch = { metadata: { labels } };
    await kubernetes.call("PATCH", `/api/v1/namespaces/${namespace}`, patch, "application/merge-patch+json");
  };
  let made = 0;
  /** How many pods of each namespace were made without a sidecar. */
  const bare = new Map<string, number>();
  /** A new pod of a namespace, and which revision has given it its one sidecar; null where it has none. */
  const revisionOfNewPod = async (namespace: string, labels: object = {}): Promise<string | null> => {
    made++;
    const pod = {
      metadata: { name: `pod-${made}`, labels },
      spec: { containers: [{ name: "app", image: "example.com/app:1" }] },
    };
    const { status, body } = await kubernetes.call("POST", pods(namespace), pod);
    if (status !== 201) throw new Error(JSON.stringify(body));
    const proxies = (body.spec.initContainers ?? []).filter(({ name }: { name: string }) => name === "istio-proxy");
    if (proxies.length === 0) {
      bare.set(namespace, (bare.get(namespace) ?? 0) + 1);
      return null;
    }
    assert.equal(proxies.length, 1);
    return JSON.parse(body.metadata.annotations["sidecar.istio.io/status"]).revision;
  };
  const becomes = (namespace: string, revision: string | null) =>
    until(`pods of ${namespace} to be of ${revision}`, async () => (await revisionOfNewPod(namespace)) === revision);

  await t.test("each pod is injected once, by the revision that its labels name", async () => {
    await becomes("old", "default");
    await becomes("next", "canary");
    const before = await reviewed(planes);
    assert.equal(await revisionOfNewPod("old"), "default");
    assert.equal(await revisionOfNewPod("next"), "canary");
    assert.equal(await revisionOfNewPod("plain"), null);
    assert.equal(await revisionOfNewPod("plain", { "istio.io/rev": "canary" }), "canary");
    assert.equal(await revisionOfNewPod("plain", { "sidecar.istio.io/inject": "true" }), "default");
    const after = await reviewed(planes);
    assert.deepEqual([after.default - before.default, after.canary - before.canary], [2, 2]);
  });

  await t.test("both sign with the mesh's one root, and each leads by a Lease of its own", async () => {
    const bundles = await Promise.all(
      ["trysail-sidecar-injector", "trysail-sidecar-injector-canary"].map(async (name) => {
        const { body } = await kubernetes.call("GET", `${CONFIGURATIONS}/${name}`);
        return body.webhooks[0].clientConfig.caBundle;
      }),
    );
    assert.ok(bundles[0]);
    assert.equal(bundles[0], bundles[1]);
    const { body } = await kubernetes.call("GET", "/apis/coordination.k8s.io/v1/namespaces/trysail-system/leases");
    const leases: readonly { metadata: { name: string } }[] = body.items;
    assert.deepEqual(leases.map(({ metadata }) => metadata.name).sort(), ["trysail-leader", "trysail-leader-canary"]);
  });

  await t.test("a namespace moves by its label, and back by the same way", async () => {
    await label("old", { "istio-injection": null, "istio.io/rev": "canary" });
    await becomes("old", "canary");
    await label("old", { "istio-injection": "enabled", "istio.io/rev": null });
    await becomes("old", "default");
  });

  await t.test("pods of a tag that nobody has set are left alone", async () => {
    assert.equal(await revisionOfNewPod("tagged"), null);
  });

  await t.test("a tag leads its namespaces to one revision, and with --overwrite to the other", async () => {
    const set = await tag("set", "prod", "--revision=default");
    assert.equal(set.exitCode, 0, set.stderr);
    await becomes("tagged", "default");
    const refused = await tag("set", "prod", "--revision=canary");
    assert.equal(refused.exitCode, 1);
    assert.match(refused.stderr, /tag prod leads to revision default: --overwrite/);
    const before = await revisionOfNewPod("tagged");
    assert.equal(before, "default");
    assert.equal((await tag("set", "prod", "--revision=canary", "--overwrite")).exitCode, 0);
    await becomes("tagged", "canary");
    const rolledBack = await tag("set", "prod", "--revision=default", "--overwrite");
    assert.equal(rolledBack.exitCode, 0, rolledBack.stderr);
    await becomes("tagged", "default");
  });

  await t.test("the control plane that a tag leads to keeps the tag's caBundle", async () => {
    const path = `${CONFIGURATIONS}/trysail-revision-tag-prod`;
    const { body: before } = await kubernetes.call("GET", path);
    const operations = [{ op: "remove", path: "/webhooks/0/clientConfig/caBundle" }];
    await kubernetes.call("PATCH", path, operations, "application/json-patch+json");
    await until("the caBundle to be back", async () => {
      const { body } = await kubernetes.call("GET", path);
      return body.webhooks[0].clientConfig.caBundle === before.webhooks[0].clientConfig.caBundle;
    });
  });

  await t.test("pods that came before the tag was set are told to lack a sidecar", async () => {
    // One at least, and those that came before the API server had heard of the tag.
    const count = bare.get("tagged") ?? 0;
    assert.ok(count > 0);
    await until("these pods among the unmeshed", async () => {
      const text = await (await fetch(`http://127.0.0.1:${planes.default.ports.monitoring}/metrics`)).text();
      return text.includes(`\ntrysail_unmeshed_pods{namespace="tagged"} ${count}\n`);
    });
  });

  await t.test("tags are listed with the namespaces that use them", async () => {
    const { stdout } = await tag("list");
    assert.match(stdout, /^TAG +REVISION +NAMESPACES\nprod +default +tagged\n$/);
    assert.deepEqual(JSON.parse((await tag("list", "-o", "json")).stdout), [
      { tag: "prod", revision: "default", namespaces: ["tagged"] },
    ]);
  });

  await t.test("the tag default takes over what is labelled istio-injection=enabled, and gives it back", async () => {
    assert.equal((await tag("set", "default", "--revision=canary")).exitCode, 0);
    await becomes("old", "canary");
    const forced = await tag("remove", "default", "--force");
    assert.equal(forced.exitCode, 0, forced.stderr);
    await becomes("old", "default");
  });

  await t.test("`generate` prints what `set` applies, and writes nothing", async () => {
    const { stdout } = await tag("generate", "later", "--revision=canary");
    const [configuration] = parseAllDocuments(stdout).map((document) => document.toJS());
    assert.equal(configuration.metadata.name, "trysail-revision-tag-later");
    assert.equal((await kubernetes.call("GET", `${CONFIGURATIONS}/trysail-revision-tag-later`)).status, 404);
    await create(kubernetes, CONFIGURATIONS, configuration);
    assert.match((await tag("list")).stdout, /^later +canary$/m);
  });

  await t.test("what cannot be is refused with the way out", async () => {
    const cases: readonly [args: readonly string[], says: RegExp][] = [
      [["set", "x", "--revision=none"], /no control plane of revision none is installed; there are: default, canary/],
      [["set", "canary", "--revision=default"], /canary is a revision itself/],
      [["set", "Big", "--revision=default"], /Big cannot be a tag/],
      [["remove", "none"], /there is no tag none/],
      [["remove", "prod"], /tag prod is in use by namespaces: tagged.*--force/],
    ];
    for (const [args, says] of cases) {
      const { exitCode, stderr } = await tag(...args);
      assert.deepEqual([exitCode, says.test(stderr)], [1, true], stderr);
    }
    await label("tagged", { "istio.io/rev": null });
    assert.equal((await tag("remove", "prod")).exitCode, 0);
    assert.equal((await kubernetes.call("GET", `${CONFIGURATIONS}/trysail-revision-tag-prod`)).status, 404);
  });
});

async function controlPlane(t: TestContext, kubernetes: TestKubernetes, revision: string): Promise<TestControlPlane> {
  const injectionConfigFile = await temporaryPath(t, `injection-${revision}.yaml`);
  await writeFile(injectionConfigFile, `revision: ${revision}\n`);
  const source = { kind: "kubeconfig", path: kubernetes.kubeconfig } as const;
  const plane = await testControlPlane(t, {}, { source, injectionConfigFile });
  // As the chart installs it: without the roots, which only the control plane knows.
  await registerInjection(kubernetes, webhookOptions(plane, { revision, caBundlePem: "" }));
  return plane;
}

type Planes = { readonly default: TestControlPlane; readonly canary: TestControlPlane };

/** How many pods each has injected so far. */
async function reviewed(planes: Planes): Promise<{ default: number; canary: number }> {
  const injected = async ({ ports }: TestControlPlane) => {
    const text = await (await fetch(`http://127.0.0.1:${ports.monitoring}/metrics`)).text();
    return Number(/^trysail_injection_reviews_total\{outcome="injected"\} (\d+)$/m.exec(text)?.[1] ?? 0);
  };
  return { default: await injected(planes.default), canary: await injected(planes.canary) };
}
