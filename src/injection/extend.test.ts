import assert from "node:assert/strict";
import { test } from "node:test";
import { applyPlan } from "./apply.ts";
import { decide } from "./decide.ts";
import { defaultInjectionConfig, type InjectionConfig } from "./injection-config.ts";
import type { PodManifest } from "./pod.ts";
import { parsePod } from "./review.ts";

/** Pods that another webhook changed behind injection, reviewed once more. */

const app = { name: "app", image: "a", readinessProbe: { httpGet: { path: "/$HOME", port: 8080 } } };
const helper = {
  name: "helper",
  image: "h",
  livenessProbe: { tcpSocket: { port: 9000 }, periodSeconds: 3 },
  lifecycle: { preStop: { httpGet: { path: "/bye", port: 9001 } } },
};
const moved = {
  name: "helper",
  image: "h",
  livenessProbe: { httpGet: { path: "/app-health/helper/livez", port: 15021 }, periodSeconds: 3 },
  lifecycle: { preStop: { httpGet: { path: "/app-lifecycle/helper/prestopz", port: 15021 } } },
};

test("a container that came later has its probes moved, and nothing else changes", () => {
  for (const first of [app, { name: "app", image: "a" }]) {
    const once = review(parsePod({ spec: { containers: [first] } }));
    const twice = review(withContainer(once, helper));
    assert.deepEqual(twice, withProbers(once, twice));
    assert.deepEqual(twice.spec.containers, [...once.spec.containers, moved]);
    assert.deepEqual(Object.keys(probersOf(twice)).sort(), [
      ...Object.keys(probersOf(once)),
      "/app-health/helper/livez",
      "/app-lifecycle/helper/prestopz",
    ]);
    for (const [path, prober] of Object.entries(probersOf(once))) assert.deepEqual(probersOf(twice)[path], prober);
    assert.equal(review(twice), twice, "a third time");
  }
});

test("probes that came later go to the status port that the pod chose", () => {
  const annotations = { "status.sidecar.istio.io/port": "16000" };
  const once = review(parsePod({ metadata: { annotations }, spec: { containers: [app] } }));
  const twice = review(withContainer(once, helper));
  assert.match(JSON.stringify(twice.spec.containers.at(-1)), /"path":"\/app-health\/helper\/livez","port":16000/);
});

test("a later webhook's own native sidecar counts as well", () => {
  const once = review(parsePod({ spec: { containers: [app] } }));
  const late = { ...helper, restartPolicy: "Always" };
  const more = { ...once, spec: { ...once.spec, initContainers: [...(once.spec.initContainers ?? []), late] } };
  assert.deepEqual(review(more).spec.initContainers?.at(-1), { ...moved, restartPolicy: "Always" });
});

const untouched: readonly [
  title: string,
  change: (pod: PodManifest) => PodManifest,
  config?: Partial<InjectionConfig>,
][] = [
  ["without probes", (pod) => withContainer(pod, { name: "helper", image: "h" })],
  ["where probes are not to be moved", (pod) => withContainer(pod, helper), { rewriteAppProbes: false }],
  ["injected by another revision", (pod) => withContainer(pod, helper), { revision: "canary" }],
  [
    "whose init container is gone",
    (pod) => withContainer({ ...pod, spec: { ...pod.spec, initContainers: [proxy] } }, helper),
  ],
];
const proxy = { name: "istio-proxy", image: "e" };
for (const [title, change, config] of untouched) {
  test(`a pod ${title} stays as it is`, () => {
    const pod = change(review(parsePod({ spec: { containers: [app] } })));
    assert.equal(review(pod, config), pod);
  });
}

test("a gateway's own probes stay", () => {
  const annotations = { "inject.istio.io/templates": "gateway" };
  const once = review(
    parsePod({ metadata: { annotations }, spec: { containers: [{ name: "istio-proxy", image: "auto" }] } }),
  );
  const pod = withContainer(once, helper);
  assert.equal(review(pod), pod);
});

function review(pod: PodManifest, config: Partial<InjectionConfig> = {}): PodManifest {
  const decision = decide({ pod, namespace: "shop", config: { ...defaultInjectionConfig, ...config } });
  return decision.inject ? parsePod(applyPlan(pod, decision.plan)) : pod;
}

function withContainer(pod: PodManifest, container: PodManifest["spec"]["containers"][number]): PodManifest {
  return { ...pod, spec: { ...pod.spec, containers: [...pod.spec.containers, container] } };
}

interface Init {
  readonly name: string;
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
}

function probersOf(pod: PodManifest): Record<string, unknown> {
  const init: Init | undefined = pod.spec.initContainers?.find(({ name }) => name === "istio-init");
  return JSON.parse(
    (init?.env?.find(({ name }) => name === "ISTIO_KUBE_APP_PROBERS")?.value ?? "{}").replaceAll("$$", "$"),
  );
}

/** `once` with the containers and the variable of `twice`. */
function withProbers(once: PodManifest, twice: PodManifest): PodManifest {
  const value = JSON.stringify(probersOf(twice)).replaceAll("$", "$$$$");
  const initContainers = once.spec.initContainers?.map((container: Init) => {
    if (container.name !== "istio-init") return container;
    const others = (container.env ?? []).filter(({ name }) => name !== "ISTIO_KUBE_APP_PROBERS");
    const at = container.env?.findIndex(({ name }) => name === "ISTIO_KUBE_APP_PROBERS") ?? -1;
    return {
      ...container,
      env: others.toSpliced(at < 0 ? others.length : at, 0, { name: "ISTIO_KUBE_APP_PROBERS", value }),
    };
  });
  return {
    ...once,
    spec: { ...once.spec, containers: twice.spec.containers, ...(initContainers ? { initContainers } : {}) },
  };
}
