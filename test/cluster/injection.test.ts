import assert from "node:assert/strict";
import { createServer } from "node:net";
import { type TestContext, test } from "node:test";
import type { InjectionConfig } from "../../src/injection/injection-config.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { temporaryAuthority } from "../support/authority.ts";
import type { TestControlPlane } from "../support/control-plane.ts";
import { freePort } from "../support/free-port.ts";
import { until } from "../support/until.ts";
import { create } from "./create.ts";
import { findKubernetes } from "./programs.ts";
import { addingWebhook, customWebhook, listening } from "./servers.ts";
import { startKubernetes } from "./start-kubernetes.ts";
import { controlPlaneFor, registerInjection, webhookOptions } from "./webhooks.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : false;

const NAMESPACES = {
  shop: { "istio-injection": "enabled" },
  plain: {},
  away: { "istio.io/rev": "away" },
  lenient: { "istio.io/rev": "lenient" },
  slow: { "istio.io/rev": "slow" },
  impostor: { "istio.io/rev": "impostor" },
  watched: { "istio-injection": "enabled", "pod-security.kubernetes.io/warn": "restricted" },
  custom: { "istio.io/rev": "custom" },
  restricted: { "istio.io/rev": "custom", "pod-security.kubernetes.io/enforce": "restricted" },
  baseline: { "istio-injection": "enabled", "pod-security.kubernetes.io/enforce": "baseline" },
};

/** Meets Pod Security `restricted` by itself. */
const container = {
  name: "app",
  image: "example.com/app:1",
  ports: [{ name: "http", containerPort: 8080 }],
  securityContext: {
    allowPrivilegeEscalation: false,
    runAsNonRoot: true,
    capabilities: { drop: ["ALL"] },
    seccompProfile: { type: "RuntimeDefault" },
  },
};
const podNamed = (name: string, spec: object = {}, metadata: object = {}) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, ...metadata },
  spec: { containers: [container], ...spec },
});
const pods = (namespace: string) => `/api/v1/namespaces/${namespace}/pods`;
const names = (list: readonly { readonly name: string }[] | undefined) => (list ?? []).map(({ name }) => name);

test("the webhook in front of a real API server", { skip, timeout: 180_000 }, async (t) => {
  if ("missing" in found) return;
  const client = await startKubernetes(t, found.programs);
  const mesh = await controlPlaneFor(t, client, NAMESPACES);
  await registerInjection(client, webhookOptions(mesh));
  const createPod = (namespace: string, pod: object, query = "") =>
    client.call("POST", `${pods(namespace)}${query}`, pod);
  await until("the webhook to be asked", async () => {
    const { body } = await createPod("shop", podNamed("probe"), "?dryRun=All");
    return names(body.spec?.initContainers).includes("istio-proxy");
  });

  await t.test("an injected pod is one that the API server accepts and keeps", async () => {
    const { status, body } = await createPod("shop", podNamed("web", {}, { labels: { app: "web" } }));
    assert.equal(status, 201, JSON.stringify(body));
    const { body: stored } = await client.call("GET", `${pods("shop")}/web`);
    assert.deepEqual(names(stored.spec.initContainers), ["istio-init", "istio-proxy"]);
    assert.deepEqual(names(stored.spec.containers), ["app"]);
    assert.equal(stored.metadata.labels["service.istio.io/canonical-name"], "web");
    assert.ok(stored.metadata.annotations["sidecar.istio.io/status"]);
  });

  await t.test(
    "pods that differ in their names alone are answered from memory, and each keeps what is its own",
    async () => {
      const before = await reused(mesh);
      const metadata = { generateName: "replica-", labels: { app: "replica" } };
      const kept = [];
      for (let replica = 0; replica < 4; replica++) {
        const { status, body } = await createPod("shop", { ...podNamed(""), metadata });
        assert.equal(status, 201, JSON.stringify(body));
        assert.deepEqual(names(body.spec.initContainers), ["istio-init", "istio-proxy"]);
        const [token] = names(body.spec.volumes).filter((name) => name.startsWith("kube-api-access-"));
        assert.deepEqual(names(body.spec.containers[0].volumeMounts), [token]);
        kept.push(token);
      }
      assert.equal(new Set(kept).size, 4, "a volume of its own each");
      assert.equal((await reused(mesh)) - before, 2, "all but the first two");
    },
  );

  await t.test("a pod of the longest name, or of a workload with one, is accepted", async () => {
    const long = "a".repeat(253);
    const owner = { apiVersion: "argoproj.io/v1alpha1", kind: "Workflow", name: `${"w".repeat(62)}-${"x".repeat(40)}` };
    for (const [metadata, label] of [
      [{ name: long }, "a".repeat(63)],
      [{ name: "step", ownerReferences: [{ ...owner, uid: "1", controller: true }] }, "w".repeat(62)],
    ] as const) {
      const { status, body } = await createPod("shop", podNamed("", {}, metadata), "?dryRun=All");
      assert.equal(status, 201, JSON.stringify(body));
      assert.equal(body.metadata.labels["service.istio.io/canonical-name"], label);
    }
  });

  const probes = { initialDelaySeconds: 3, timeoutSeconds: 2, periodSeconds: 7 };
  const kinds: readonly [string, object][] = [
    ["http probes", { readinessProbe: { httpGet: { path: "/ready?x=1", port: "http" }, ...probes } }],
    ["https probes", { livenessProbe: { httpGet: { port: 8080, scheme: "HTTPS" }, ...probes } }],
    ["tcp probes", { startupProbe: { tcpSocket: { port: "http" }, ...probes } }],
    ["grpc probes", { readinessProbe: { grpc: { port: 8080, service: "ready" }, ...probes } }],
    ["exec probes", { livenessProbe: { exec: { command: ["true"] }, ...probes } }],
    ["lifecycle hooks", { lifecycle: { postStart: { httpGet: { port: 8080, path: "/hi" } } } }],
  ];
  for (const [title, fields] of kinds) {
    await t.test(`a pod with ${title} is accepted`, async () => {
      const spec = { containers: [{ ...container, ...fields }] };
      const { status, body } = await createPod("shop", podNamed(title.replaceAll(" ", "-"), spec));
      assert.equal(status, 201, JSON.stringify(body));
      assert.ok(names(body.spec.initContainers).includes("istio-proxy"));
    });
  }

  await t.test("a dry run shows the sidecar and leaves nothing", async () => {
    const { status, body } = await createPod("shop", podNamed("dry"), "?dryRun=All");
    assert.equal(status, 201);
    assert.ok(names(body.spec.initContainers).includes("istio-proxy"));
    assert.equal((await client.call("GET", `${pods("shop")}/dry`)).status, 404);
  });

  await t.test("updates of an injected pod pass by the webhook", async () => {
    const before = await reviews(mesh);
    const patch = { metadata: { labels: { later: "yes" } } };
    const answer = await client.call("PATCH", `${pods("shop")}/web`, patch, "application/merge-patch+json");
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    assert.equal(await reviews(mesh), before);
  });

  await t.test("what runs in no part of the mesh never waits for the webhook", async () => {
    const before = await reviews(mesh);
    await createPod("plain", podNamed("one"));
    await createPod("shop", podNamed("out", {}, { labels: { "sidecar.istio.io/inject": "false" } }));
    await createPod("shop", podNamed("host", { hostNetwork: true }));
    for (const name of ["plain/one", "shop/out", "shop/host"]) {
      const [namespace = "", pod = ""] = name.split("/");
      const { status, body } = await client.call("GET", `${pods(namespace)}/${pod}`);
      assert.deepEqual([status, body.spec?.initContainers], [200, undefined], name);
    }
    assert.equal(await reviews(mesh), before);
  });

  await t.test("a pod that asks by label is injected in a namespace that does not", async () => {
    const { body } = await createPod("plain", podNamed("two", {}, { labels: { "sidecar.istio.io/inject": "true" } }));
    assert.ok(names(body.spec?.initContainers).includes("istio-proxy"), JSON.stringify(body));
  });

  await t.test("a bad annotation is told to whoever creates the pod", async () => {
    const annotations = { "traffic.sidecar.istio.io/excludeInboundPorts": "ssh" };
    const { status, body } = await createPod("shop", podNamed("bad", {}, { annotations }));
    assert.equal(status, 400);
    assert.match(body.message, /namespace\.sidecar-injector\.trysail\.io.* denied the request: .*excludeInboundPorts/);
  });

  await t.test("a Deployment's pods come with sidecars and its name", { skip: noControllers() }, async () => {
    const labels = { app: "orders" };
    const template = { metadata: { labels }, spec: { containers: [container] } };
    const deployment = { apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "orders-v1" } };
    await create(client, "/apis/apps/v1/namespaces/shop/deployments", {
      ...deployment,
      spec: { replicas: 2, selector: { matchLabels: labels }, template },
    });
    const made = await until(
      "two pods",
      async () => {
        const { body } = await client.call("GET", `${pods("shop")}?labelSelector=app%3Dorders`);
        return body.items.length === 2 && body.items;
      },
      { timeoutMs: 60_000 },
    );
    for (const { spec } of made) {
      assert.deepEqual(names(spec.initContainers), ["istio-init", "istio-proxy"]);
      assert.match(JSON.stringify(spec.initContainers), /orders-v1/);
    }
  });

  await t.test("a webhook that adds a container later has ours asked again, for its probes alone", async (t) => {
    const other = await addingWebhook(t);
    await create(client, "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", other);
    const pod = podNamed("reinvoked", {}, { labels: { "add-helper": "yes" } });
    const { status, body } = await until("both webhooks", async () => {
      const answer = await createPod("shop", pod, "?dryRun=All");
      return names(answer.body.spec?.containers).includes("helper") && answer;
    });
    assert.equal(status, 201, JSON.stringify(body));
    assert.deepEqual(names(body.spec.initContainers), ["istio-init", "istio-proxy"]);
    assert.deepEqual(names(body.spec.containers), ["app", "helper"]);
    assert.match(await metrics(mesh), /trysail_injection_reviews_total\{outcome="already-injected"\} [1-9]/);

    const probed = await createPod("shop", podNamed("probed", {}, { labels: { "add-helper": "probed" } }));
    assert.equal(probed.status, 201, JSON.stringify(probed.body));
    const [, helper] = probed.body.spec.containers;
    assert.deepEqual([helper.livenessProbe.tcpSocket, helper.livenessProbe.httpGet.port], [undefined, 15021]);
    const probers = JSON.stringify(probed.body.spec.initContainers[0].env);
    assert.match(probers, /ISTIO_KUBE_APP_PROBERS.*\/app-health\/helper\/livez.*9000/);
  });

  await t.test("where the control plane is away, Fail refuses the mesh's pods and no others", async () => {
    const url = `https://127.0.0.1:${await freePort()}`;
    await registerInjection(client, webhookOptions(mesh, { revision: "away", target: { url } }));
    await until("the webhook to be asked", async () => {
      const { status, body } = await createPod("away", podNamed("refused"), "?dryRun=All");
      return status === 500 && /failed calling webhook.*connection refused/.test(body.message);
    });
    assert.equal((await createPod("away", podNamed("refused"))).status, 500);
    assert.equal((await createPod("away", podNamed("host", { hostNetwork: true }))).status, 201);
    const optedOut = podNamed("out", {}, { labels: { "sidecar.istio.io/inject": "false" } });
    assert.equal((await createPod("away", optedOut)).status, 201);
    assert.equal((await createPod("shop", podNamed("not-concerned"))).status, 201);
  });

  await t.test("where the control plane is away, Ignore creates the pod without a sidecar", async () => {
    const url = `https://127.0.0.1:${await freePort()}`;
    const options = webhookOptions(mesh, { revision: "lenient", target: { url }, failurePolicy: "Ignore" });
    await registerInjection(client, options);
    const { status, body } = await createPod("lenient", podNamed("alone"));
    assert.deepEqual([status, body.spec?.initContainers], [201, undefined], JSON.stringify(body));
  });

  await t.test("a control plane that does not answer costs no more than the time-out", async (t) => {
    const silent = await listening(
      t,
      createServer(() => {}),
    );
    const target = { url: `https://127.0.0.1:${silent}` };
    await registerInjection(client, webhookOptions(mesh, { revision: "slow", target, timeoutSeconds: 1 }));
    const timedOut = await until("the time-out", async () => {
      const began = performance.now();
      const { status, body } = await createPod("slow", podNamed("late"), "?dryRun=All");
      return status === 500 && { tookMs: performance.now() - began, message: String(body.message) };
    });
    assert.match(timedOut.message, /failed calling webhook.*(deadline exceeded|timeout|Timeout)/);
    assert.ok(timedOut.tookMs > 900, `answered after ${timedOut.tookMs} ms`);
  });

  await t.test("an impostor with another root is not asked", async (t) => {
    const { rootCertificatePem } = await temporaryAuthority(t, systemClock);
    await registerInjection(client, webhookOptions(mesh, { revision: "impostor", caBundlePem: rootCertificatePem }));
    await until("the certificate to be refused", async () => {
      const { status, body } = await createPod("impostor", podNamed("x"), "?dryRun=All");
      return status === 500 && /x509|certificate/.test(body.message);
    });
  });

  await t.test("Pod Security: only the init container asks for more than restricted", async () => {
    const { status, warnings } = await createPod("watched", podNamed("watched"));
    assert.equal(status, 201);
    const [warning = ""] = warnings.filter((text) => text.includes("PodSecurity"));
    assert.match(warning, /"istio-init"/);
    assert.doesNotMatch(warning, /"(istio-proxy|app)"/);
    assert.doesNotMatch(warning, /pod must|volume/);
  });

  await t.test("Pod Security: beyond baseline there are two capabilities of the init container", async () => {
    const { status, body } = await createPod("baseline", podNamed("refused"));
    assert.equal(status, 403, JSON.stringify(body));
    const [, violations = ""] = /violates PodSecurity "baseline:latest": (.*)/.exec(body.message) ?? [];
    assert.match(
      violations,
      /^non-default capabilities \(container "istio-init" must not include "NET_ADMIN", "NET_RAW" in securityContext\.capabilities\.add\)$/,
    );
    const optedOut = podNamed("plain", {}, { labels: { "sidecar.istio.io/inject": "false" } });
    assert.equal((await createPod("baseline", optedOut)).status, 201);
  });

  const restrictedPod = { securityContext: { runAsNonRoot: true } };
  const settings: readonly [title: string, config: Partial<InjectionConfig>][] = [
    ["classic sidecars", { nativeSidecars: false }],
    [
      "an app that waits for the proxy",
      { nativeSidecars: false, proxyConfig: { holdApplicationUntilProxyStarts: true } },
    ],
    ["TPROXY", { interceptionMode: "TPROXY" }],
    ["interception on the node", { interceptionBy: "node" }],
    ["OpenShift's ranges of users", { platform: "openshift" }],
    [
      "secrets for images, labels and annotations",
      {
        imagePullSecrets: ["regcred"],
        imagePullPolicy: "Always",
        injectedLabels: { team: "mesh" },
        injectedAnnotations: { note: "x" },
      },
    ],
    [
      "a template of the operator's",
      { templates: { extra: { spec: { volumes: [{ name: "extra" }] } } }, defaultTemplates: ["sidecar", "extra"] },
    ],
  ];
  for (const [title, config] of settings) {
    await t.test(`pods are accepted with ${title}`, async (t) => {
      await withCustomWebhook(t, config, async () => {
        const { status, body } = await createPod("custom", podNamed("custom", restrictedPod), "?dryRun=All");
        assert.equal(status, 201, JSON.stringify(body));
        const all = [...names(body.spec.initContainers), ...names(body.spec.containers)];
        assert.ok(all.includes("istio-proxy"), JSON.stringify(body));
      });
    });
  }

  const annotations: readonly [title: string, annotations: Readonly<Record<string, string>>][] = [
    ["resources", { "sidecar.istio.io/proxyCPU": "100m", "sidecar.istio.io/proxyMemoryLimit": "1Gi" }],
    ["log levels", { "sidecar.istio.io/logLevel": "debug", "sidecar.istio.io/componentLogLevel": "misc:error" }],
    ["a proxy's config", { "proxy.istio.io/config": "concurrency: 3\ndrainDuration: 10s\n" }],
    ["traffic", { "traffic.sidecar.istio.io/excludeOutboundPorts": "3306,5432" }],
    [
      "volumes",
      {
        "sidecar.istio.io/userVolume": '[{"name":"v","emptyDir":{}}]',
        "sidecar.istio.io/userVolumeMount": '[{"name":"v","mountPath":"/v"}]',
      },
    ],
    ["a classic sidecar", { "sidecar.istio.io/nativeSidecar": "false" }],
  ];
  for (const [title, values] of annotations) {
    await t.test(`pods are accepted with annotations about ${title}`, async () => {
      const { status, body } = await createPod(
        "shop",
        podNamed("annotated", {}, { annotations: values }),
        "?dryRun=All",
      );
      assert.equal(status, 201, JSON.stringify(body));
      const all = [...names(body.spec.initContainers), ...names(body.spec.containers)];
      assert.ok(all.includes("istio-proxy"), JSON.stringify(body));
    });
  }

  await t.test("a gateway's pod, whose container is auto, is accepted", async () => {
    const gateway = { containers: [{ name: "istio-proxy", image: "auto" }] };
    const metadata = { annotations: { "inject.istio.io/templates": "gateway" } };
    const { status, body } = await createPod("shop", podNamed("gateway", gateway, metadata), "?dryRun=All");
    assert.equal(status, 201, JSON.stringify(body));
    assert.match(body.spec.containers[0].image, /envoy/);
  });

  await t.test("Pod Security: with interception on the node, restricted takes the whole pod", async (t) => {
    await withCustomWebhook(t, { interceptionBy: "node" }, async () => {
      const { status, body } = await createPod("restricted", podNamed("strict"), "?dryRun=All");
      assert.equal(status, 201, JSON.stringify(body));
      assert.ok(names(body.spec.initContainers).includes("istio-proxy"));
    });
    await withCustomWebhook(t, {}, async () => {
      assert.equal((await createPod("restricted", podNamed("strict"), "?dryRun=All")).status, 403);
    });
  });

  /** Registers a webhook with these settings while `act` runs. */
  async function withCustomWebhook(
    t: TestContext,
    config: Partial<InjectionConfig>,
    act: () => Promise<void>,
  ): Promise<void> {
    const { url, caBundlePem } = await customWebhook(t, config);
    await registerInjection(client, webhookOptions(mesh, { revision: "custom", target: { url }, caBundlePem }));
    await until("the webhook to be asked", async () => {
      const { status, body } = await createPod("custom", podNamed("probe"), "?dryRun=All");
      return status === 201 && body.metadata.labels !== undefined;
    });
    await act();
    await client.call(
      "DELETE",
      "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/trysail-sidecar-injector-custom",
    );
    // The next webhook has the same name, and other settings.
    await until("the webhook to be asked no more", async () => {
      const { status, body } = await createPod("custom", podNamed("probe"), "?dryRun=All");
      return status === 201 && body.metadata.labels === undefined;
    });
  }
});

function noControllers(): string | false {
  return "programs" in found && found.programs.controllerManager === null ? "no kube-controller-manager" : false;
}

async function metrics(mesh: TestControlPlane): Promise<string> {
  return (await fetch(`http://127.0.0.1:${mesh.ports.monitoring}/metrics`)).text();
}

/** How often the webhook was asked so far. */
async function reused(mesh: TestControlPlane): Promise<number> {
  return Number(/^trysail_injection_reviews_reused_total (\d+)$/m.exec(await metrics(mesh))?.[1]);
}

async function reviews(mesh: TestControlPlane): Promise<number> {
  const counts = (await metrics(mesh)).matchAll(/^trysail_injection_reviews_total\{.*\} (\d+)$/gm);
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
}
