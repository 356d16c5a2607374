import assert from "node:assert/strict";
import { test } from "node:test";
import jsonPatch from "fast-json-patch";
import { decide } from "./decide.ts";
import { defaultInjectionConfig, type InjectionConfig } from "./injection-config.ts";
import { buildPatch } from "./patch.ts";
import type { PodManifest } from "./pod.ts";
import { parsePod } from "./review.ts";

const native = (value: boolean) => ({ "sidecar.istio.io/nativeSidecar": String(value) });
const templates = (names: string) => ({ "inject.istio.io/templates": names });
const hold = { "proxy.istio.io/config": "holdApplicationUntilProxyStarts: true" };
const app = { name: "app", image: "app" };

test("a classic sidecar stands behind the app, and holds its own end back", () => {
  const { pod } = inject({ annotations: native(false), containers: [app] });
  assert.deepEqual(names(pod.spec.containers), ["app", "istio-proxy"]);
  assert.deepEqual(names(pod.spec.initContainers), ["istio-init"]);
  const proxy = container(pod, "istio-proxy");
  assert.equal(proxy.restartPolicy, undefined);
  assert.match(script(proxy, "preStop"), /drain_listeners.*\nsleep 5$/);
  assert.equal(Reflect.get(Object(proxy.lifecycle), "postStart"), undefined);
  assert.match(statusOf(pod), /"initContainers":\["istio-init"\],"containers":\["istio-proxy"\]/);
});

test("holdApplicationUntilProxyStarts puts a classic sidecar first, with a hook that waits", () => {
  const { pod } = inject({ annotations: { ...native(false), ...hold }, containers: [app] });
  assert.deepEqual(names(pod.spec.containers), ["istio-proxy", "app"]);
  assert.match(script(container(pod, "istio-proxy"), "postStart"), /15021 GET \/healthz\/ready/);
});

test("in a distroless image a second Envoy carries out what a shell does elsewhere", () => {
  const annotations = { ...native(false), ...hold, "sidecar.istio.io/proxyImageType": "distroless" };
  const { pod, warnings } = inject({ annotations, containers: [app] });
  const quietly = ["--concurrency", "1", "--log-level", "error", "--disable-hot-restart"];
  const hook = (file: string) => ({ exec: { command: ["envoy", "-c", `/etc/istio/proxy/${file}.json`, ...quietly] } });
  const lifecycle = { postStart: hook("post-start"), preStop: hook("pre-stop") };
  assert.deepEqual(container(pod, "istio-proxy").lifecycle, lifecycle);
  const tasks = '{"postStart":{"kind":"wait"},"preStop":{"kind":"drain","holdSeconds":5,"untilIdle":false}}';
  assert.ok(JSON.stringify(container(pod, "istio-init")).includes(JSON.stringify(tasks)));
  assert.deepEqual(warnings, []);
});

test("the end of a classic sidecar follows the ProxyConfig", () => {
  const ending = (yaml: string) => {
    const annotations = { ...native(false), "proxy.istio.io/config": yaml };
    return script(container(inject({ annotations, containers: [app] }).pod, "istio-proxy"), "preStop");
  };
  assert.match(ending("terminationDrainDuration: 20s"), /\nsleep 20$/);
  const untilIdle = "proxyMetadata: {EXIT_ON_ZERO_ACTIVE_CONNECTIONS: 'true', MINIMUM_DRAIN_DURATION: 7s}";
  assert.match(ending(untilIdle), /\nsleep 7\n[\s\S]*until idle; do sleep 1; done$/);
  assert.match(ending(untilIdle.replace("'true'", '"1"')), /until idle/, "as Go reads it");
});

test("a native sidecar keeps on beside the app's own end, for callers that have not heard of it", () => {
  const annotations = { "proxy.istio.io/config": "terminationDrainDuration: 20s" };
  const { pod, warnings } = inject({ annotations, containers: [app] });
  const sidecar = pod.spec.initContainers?.find(({ name }) => name === "istio-proxy");
  assert.match(script(sidecar ?? assert.fail(), "preStop"), /\nsleep 20$/);
  assert.deepEqual(warnings, []);
});

test("a drain longer than the pod's grace period, and a classic sidecar in a Job, are warned about", () => {
  const long = { ...native(false), "proxy.istio.io/config": "terminationDrainDuration: 2m" };
  assert.match(inject({ annotations: long, containers: [app] }).warnings[0] ?? "", /drain for 120s, .* after 30s$/);
  const ownerReferences = [{ apiVersion: "batch/v1", kind: "Job", name: "once", controller: true }];
  const inJob = (annotations: Record<string, string>) => inject({ annotations, ownerReferences, containers: [app] });
  assert.match(inJob(native(false)).warnings[0] ?? "", /^the Job will not complete/);
  assert.deepEqual(inJob({}).warnings, []);
});

test("the user's own istio-proxy says what should be different about the sidecar", () => {
  const own = {
    name: "istio-proxy",
    image: "auto",
    imagePullPolicy: "Always",
    ports: null,
    env: [{ name: "MINE", value: "1" }],
    resources: { requests: { cpu: "7" } },
    lifecycle: { preStop: { exec: { command: ["mine"] } } },
    securityContext: { readOnlyRootFilesystem: false },
    volumeMounts: [{ name: "certs", mountPath: "/certs" }],
  };
  const { pod } = inject({ containers: [own, app], volumes: [{ name: "certs", emptyDir: {} }] });
  assert.deepEqual(names(pod.spec.containers), ["app"]);
  assert.deepEqual(names(pod.spec.initContainers), ["istio-init", "istio-proxy"]);
  const usual = container(inject({ containers: [app] }).pod, "istio-proxy");
  assert.deepEqual(container(pod, "istio-proxy"), {
    ...usual,
    env: own.env,
    resources: { requests: { cpu: "7", memory: "128Mi" }, limits: { cpu: "2000m", memory: "1024Mi" } },
    lifecycle: own.lifecycle,
    securityContext: { ...Object(usual.securityContext), readOnlyRootFilesystem: false },
    volumeMounts: [...list(usual.volumeMounts), ...own.volumeMounts],
  });
});

test("Envoy has as many threads as the user's own istio-proxy may have CPUs", () => {
  const threads = (cpu: string) => {
    const own = { name: "istio-proxy", image: "auto", resources: { limits: { cpu } } };
    const args = container(inject({ containers: [app, own] }).pod, "istio-proxy").args;
    return Array.isArray(args) ? args[args.indexOf("--concurrency") + 1] : undefined;
  };
  assert.deepEqual(["500m", "3500m", "8", "1000k"].map(threads), ["1", "4", "8", "1024"]);
});

test("an image of the user's own stays, and a classic sidecar takes the same wishes", () => {
  const own = { name: "istio-proxy", image: "mine" };
  const { pod } = inject({ annotations: native(false), containers: [app, own] });
  assert.deepEqual(names(pod.spec.containers), ["app", "istio-proxy"]);
  assert.equal(container(pod, "istio-proxy").image, "mine");
});

test("a pod of nothing but the sidecar is refused", () => {
  const lonely = { containers: [{ name: "istio-proxy", image: "auto" }] };
  assert.throws(() => inject(lonely), /^TrysailError: spec\.containers: there is none besides istio-proxy$/);
});

test("a gateway is an Envoy that takes no one else's traffic", () => {
  const { pod } = inject({
    annotations: templates("gateway"),
    labels: { istio: "ingressgateway", app: "gateway" },
    containers: [{ name: "istio-proxy", image: "auto", ports: [{ containerPort: 8443 }] }],
  });
  assert.deepEqual(names(pod.spec.containers), ["istio-proxy"]);
  assert.deepEqual(names(pod.spec.initContainers), ["istio-init"]);
  const init = container(pod, "istio-init");
  assert.deepEqual(init.args, ["init", "--bootstrap-only"]);
  assert.ok(list(init.env).some((variable) => JSON.stringify(variable) === '{"name":"PROXY_TYPE","value":"router"}'));
  const proxy = container(pod, "istio-proxy");
  assert.equal(proxy.image, defaultInjectionConfig.proxyImage);
  assert.deepEqual(
    list(proxy.ports).map((port) => Reflect.get(Object(port), "containerPort")),
    [15090, 8443],
  );
  // All of its callers are asked to go elsewhere: its listeners are not inbound ones.
  assert.match(script(proxy, "preStop"), /drain_listeners\?graceful&skip_exit' .*\nsleep 5$/);
  for (const { securityContext } of [init, proxy]) {
    assert.equal(Reflect.get(Object(securityContext), "runAsNonRoot"), true);
    assert.deepEqual(Reflect.get(Object(securityContext), "capabilities"), { drop: ["ALL"] });
  }
  assert.deepEqual(pod.spec.securityContext, {
    fsGroup: 1337,
    sysctls: [{ name: "net.ipv4.ip_unprivileged_port_start", value: "0" }],
  });
  assert.equal(pod.metadata?.labels?.["service.istio.io/canonical-name"], "gateway");
  assert.equal(pod.metadata?.labels?.["security.istio.io/tlsMode"], undefined);
});

const custom: Partial<InjectionConfig> = {
  templates: {
    debug: parseTemplate({
      metadata: { labels: { debug: "on" } },
      spec: {
        shareProcessNamespace: true,
        hostname: null,
        containers: [{ name: "istio-debug", image: "debug" }],
        initContainers: [{ name: "istio-proxy", env: [{ name: "LEVEL", value: "9" }] }],
        volumes: [{ name: "debug", emptyDir: {} }],
      },
    }),
    quiet: parseTemplate({ spec: { initContainers: [{ name: "istio-proxy", args: ["--quiet"] }] } }),
  },
  aliases: { loud: ["sidecar", "debug"] },
};

test("templates of the configuration are merged in the order in which they are named", () => {
  const spec = { annotations: templates("sidecar,debug, quiet"), containers: [app], hostname: "gone" };
  const { pod } = inject(spec, custom);
  assert.equal(pod.metadata?.labels?.debug, "on");
  assert.equal(Reflect.get(pod.spec, "shareProcessNamespace"), true);
  assert.ok(!("hostname" in pod.spec), "null takes a field away");
  assert.deepEqual(names(pod.spec.containers), ["app", "istio-debug"]);
  assert.deepEqual(names(pod.spec.initContainers), ["istio-init", "istio-proxy"]);
  const proxy = container(pod, "istio-proxy");
  assert.deepEqual(proxy.args, ["--quiet"]);
  assert.deepEqual(proxy.env, [{ name: "LEVEL", value: "9" }]);
  assert.match(statusOf(pod), /"containers":\["istio-debug"\],"volumes":\[.*"debug"\]/);
});

test("an alias stands for several, and defaultTemplates for pods that name none", () => {
  const byAlias = inject({ annotations: templates("loud"), containers: [app] }, custom).pod;
  const byDefault = inject({ containers: [app] }, { ...custom, defaultTemplates: ["sidecar", "debug"] }).pod;
  assert.deepEqual(byAlias.spec, byDefault.spec);
  assert.equal(byDefault.metadata?.labels?.debug, "on");
});

test("a template of the configuration may replace a built-in one", () => {
  const replaced = {
    templates: { sidecar: parseTemplate({ spec: { containers: [{ name: "istio-proxy", image: "x" }] } }) },
  };
  const { pod } = inject({ containers: [app] }, replaced);
  assert.deepEqual(pod.spec.containers, [app, { name: "istio-proxy", image: "x" }]);
});

interface Spec {
  readonly annotations?: Record<string, string>;
  readonly labels?: Record<string, string>;
  readonly ownerReferences?: { apiVersion: string; kind: string; name: string; controller: boolean }[];
  readonly containers: { name: string; [field: string]: unknown }[];
  readonly [field: string]: unknown;
}

/** As an API server would, and once more: whatever was injected stays as it is. */
function inject({ annotations, labels, ownerReferences, ...spec }: Spec, changes: Partial<InjectionConfig> = {}) {
  const config = { ...defaultInjectionConfig, ...changes };
  const metadata = { name: "web", annotations, labels, ownerReferences };
  const written = parsePod(JSON.parse(JSON.stringify({ metadata, spec })));
  const decision = decide({ pod: written, namespace: "shop", config });
  assert.ok(decision.inject);
  const patch = JSON.parse(JSON.stringify(buildPatch(written, decision.plan)));
  const pod = parsePod(jsonPatch.applyPatch(structuredClone(written), patch).newDocument);
  assert.equal(decide({ pod, namespace: "shop", config }).inject, false);
  return { pod, warnings: decision.plan.warnings };
}

function parseTemplate<T>(template: T): T {
  return template;
}

function container({ spec }: PodManifest, name: string): Record<string, unknown> {
  const found = [...(spec.initContainers ?? []), ...spec.containers].find((one) => one.name === name);
  assert.ok(found);
  return { ...found };
}

function names(containers: PodManifest["spec"]["initContainers"]): readonly string[] {
  return (containers ?? []).map(({ name }) => name);
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function script({ lifecycle }: Record<string, unknown>, hook: "postStart" | "preStop"): string {
  return JSON.parse(JSON.stringify(lifecycle))[hook].exec.command[2];
}

function statusOf({ metadata }: PodManifest): string {
  return metadata?.annotations?.["sidecar.istio.io/status"] ?? "";
}
