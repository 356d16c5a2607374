import assert from "node:assert/strict";
import { test } from "node:test";
import { type DecisionInput, decide, type SkipReasonCode, skipReason } from "./decide.ts";
import { defaultInjectionConfig, type InjectionConfig } from "./injection-config.ts";
import type { PodManifest } from "./pod.ts";

interface Case {
  readonly title: string;
  readonly namespace?: string;
  /** Null: whoever asks has selected the pod. */
  readonly namespaceLabels?: Record<string, string> | null;
  readonly formerNamespaceLabels?: Record<string, string>;
  readonly labels?: Record<string, string>;
  readonly annotations?: Record<string, string>;
  readonly spec?: Partial<PodManifest["spec"]>;
  readonly config?: Partial<InjectionConfig>;
  readonly expected: SkipReasonCode | "inject";
}

const enabled = { "istio-injection": "enabled" };
const disabled = { "istio-injection": "disabled" };
const canary = { "istio.io/rev": "canary" };
const wish = (value: string) => ({ "sidecar.istio.io/inject": value });
const sidecar = { name: "istio-proxy" };
const status = { "sidecar.istio.io/status": "{}" };

const cases: readonly Case[] = [
  { title: "an enabled namespace", namespaceLabels: enabled, expected: "inject" },
  { title: "a namespace without labels", expected: "not-selected" },
  { title: "a disabled namespace", namespaceLabels: disabled, expected: "namespace-opted-out" },
  {
    title: "any other value of the namespace's label",
    namespaceLabels: { "istio-injection": "true" },
    expected: "namespace-opted-out",
  },

  { title: "a pod's label true in a namespace without labels", labels: wish("true"), expected: "inject" },
  {
    title: "a pod's label true in a disabled namespace",
    namespaceLabels: disabled,
    labels: wish("true"),
    expected: "namespace-opted-out",
  },
  {
    title: "a pod's label false in an enabled namespace",
    namespaceLabels: enabled,
    labels: wish("false"),
    expected: "pod-opted-out",
  },
  { title: "a pod's empty label says nothing", namespaceLabels: enabled, labels: wish(""), expected: "inject" },
  {
    title: "a pod's label that is no word for true",
    namespaceLabels: enabled,
    labels: wish("maybe"),
    expected: "pod-opted-out",
  },
  { title: "YAML's other words for true", namespaceLabels: enabled, labels: wish("Yes"), expected: "inject" },
  { title: "YAML's other words for true select nothing by themselves", labels: wish("yes"), expected: "not-selected" },

  {
    title: "an annotation false in an enabled namespace",
    namespaceLabels: enabled,
    annotations: wish("false"),
    expected: "pod-opted-out",
  },
  { title: "an annotation true in a namespace without labels", annotations: wish("true"), expected: "not-selected" },
  {
    title: "a label true over an annotation false",
    namespaceLabels: enabled,
    labels: wish("true"),
    annotations: wish("false"),
    expected: "inject",
  },
  {
    title: "a label false over an annotation true",
    namespaceLabels: enabled,
    labels: wish("false"),
    annotations: wish("true"),
    expected: "pod-opted-out",
  },
  {
    title: "an empty label over an annotation false",
    namespaceLabels: enabled,
    labels: wish(""),
    annotations: wish("false"),
    expected: "inject",
  },

  { title: "a namespace of this revision", namespaceLabels: { "istio.io/rev": "default" }, expected: "inject" },
  { title: "a namespace of another revision", namespaceLabels: canary, expected: "other-revision" },
  {
    title: "a namespace that was of this revision until moments ago",
    namespaceLabels: canary,
    formerNamespaceLabels: enabled,
    expected: "inject",
  },
  {
    title: "a namespace that was of a third revision until moments ago",
    namespaceLabels: canary,
    formerNamespaceLabels: { "istio.io/rev": "old" },
    expected: "other-revision",
  },
  {
    title: "a namespace that was in the mesh until moments ago",
    namespaceLabels: {},
    formerNamespaceLabels: enabled,
    expected: "not-selected",
  },
  {
    title: "a namespace of this revision by its name",
    namespaceLabels: canary,
    config: { revision: "canary" },
    expected: "inject",
  },
  {
    title: "a namespace of this revision by a tag",
    namespaceLabels: { "istio.io/rev": "stable" },
    config: { revisionTags: ["stable"] },
    expected: "inject",
  },
  { title: "istio-injection before istio.io/rev", namespaceLabels: { ...enabled, ...canary }, expected: "inject" },
  {
    title: "istio-injection=enabled is not for a revision with a name",
    namespaceLabels: enabled,
    config: { revision: "canary" },
    expected: "other-revision",
  },
  {
    title: "… unless it has the tag default",
    namespaceLabels: enabled,
    config: { revision: "canary", revisionTags: ["default"] },
    expected: "inject",
  },
  { title: "a pod of another revision", labels: canary, expected: "other-revision" },
  {
    title: "a pod of this revision in a namespace without labels",
    labels: canary,
    config: { revision: "canary" },
    expected: "inject",
  },
  {
    title: "a pod of this revision that opts out",
    labels: { ...canary, ...wish("false") },
    config: { revision: "canary" },
    expected: "pod-opted-out",
  },
  {
    title: "the namespace's revision before the pod's",
    namespaceLabels: { "istio.io/rev": "default" },
    labels: canary,
    expected: "inject",
  },
  {
    title: "a pod's label true is not for a revision with a name",
    labels: wish("true"),
    config: { revision: "canary" },
    expected: "other-revision",
  },

  {
    title: "a namespace without labels where such are selected",
    config: { enableNamespacesByDefault: true },
    expected: "inject",
  },
  {
    title: "a disabled namespace where those without labels are selected",
    namespaceLabels: disabled,
    config: { enableNamespacesByDefault: true },
    expected: "namespace-opted-out",
  },
  { title: "policy disabled", namespaceLabels: enabled, config: { policy: "disabled" }, expected: "policy-disabled" },
  {
    title: "policy disabled and a label true",
    namespaceLabels: enabled,
    labels: wish("true"),
    config: { policy: "disabled" },
    expected: "inject",
  },
  {
    title: "policy disabled and an annotation true",
    namespaceLabels: enabled,
    annotations: wish("true"),
    config: { policy: "disabled" },
    expected: "inject",
  },

  ...defaultInjectionConfig.ignoredNamespaces.map(
    (namespace): Case => ({
      title: `namespace ${namespace}, whatever the labels`,
      namespace,
      namespaceLabels: enabled,
      labels: wish("true"),
      expected: "namespace-ignored",
    }),
  ),
  {
    title: "the node's network",
    namespaceLabels: enabled,
    labels: wish("true"),
    spec: { hostNetwork: true },
    expected: "host-network",
  },
  {
    title: "a native sidecar there already",
    namespaceLabels: enabled,
    annotations: status,
    spec: { initContainers: [sidecar] },
    expected: "already-injected",
  },
  {
    title: "a classic sidecar there already",
    namespaceLabels: enabled,
    annotations: status,
    spec: { containers: [{ name: "app" }, sidecar] },
    expected: "already-injected",
  },
  {
    title: "a sidecar of another revision there already",
    namespaceLabels: enabled,
    annotations: { "sidecar.istio.io/status": '{"containers":["istio-proxy"],"revision":"canary"}' },
    spec: { containers: [{ name: "app" }, sidecar] },
    expected: "injected-by-other",
  },
  {
    title: "a sidecar of this revision there already",
    namespaceLabels: enabled,
    annotations: { "sidecar.istio.io/status": '{"revision":"default"}' },
    spec: { containers: [{ name: "app" }, sidecar] },
    expected: "already-injected",
  },
  {
    title: "a status that cannot be read",
    namespaceLabels: enabled,
    annotations: { "sidecar.istio.io/status": "injected" },
    spec: { containers: [{ name: "app" }, sidecar] },
    expected: "already-injected",
  },
  {
    title: "a container of that name without the annotation is a wish",
    namespaceLabels: enabled,
    spec: { containers: [{ name: "app" }, sidecar] },
    expected: "inject",
  },
  {
    title: "a mirror pod",
    namespaceLabels: enabled,
    annotations: { "kubernetes.io/config.mirror": "5f2" },
    expected: "static-pod",
  },
  {
    title: "a static pod",
    namespaceLabels: enabled,
    annotations: { "kubernetes.io/config.source": "file" },
    expected: "static-pod",
  },
  {
    title: "a pod that came by the API server",
    namespaceLabels: enabled,
    annotations: { "kubernetes.io/config.source": "api" },
    expected: "inject",
  },
  { title: "Windows", namespaceLabels: enabled, spec: { os: { name: "windows" } }, expected: "windows" },
  { title: "Linux", namespaceLabels: enabled, spec: { os: { name: "linux" } }, expected: "inject" },
  {
    title: "Windows nodes, whatever the labels",
    namespaceLabels: enabled,
    labels: wish("true"),
    spec: { nodeSelector: { "kubernetes.io/os": "windows" } },
    expected: "windows",
  },

  {
    title: "neverInjectSelector",
    namespaceLabels: enabled,
    labels: { app: "batch" },
    config: { neverInjectSelector: [{ matchLabels: { app: "batch" } }] },
    expected: "never-selected",
  },
  {
    title: "neverInjectSelector and a pod that asks",
    namespaceLabels: enabled,
    labels: { app: "batch", ...wish("true") },
    config: { neverInjectSelector: [{ matchLabels: { app: "batch" } }] },
    expected: "inject",
  },
  {
    title: "neverInjectSelector before alwaysInjectSelector",
    namespaceLabels: enabled,
    labels: { app: "batch" },
    config: {
      neverInjectSelector: [{ matchExpressions: [{ key: "app", operator: "Exists" }] }],
      alwaysInjectSelector: [{ matchLabels: { app: "batch" } }],
    },
    expected: "never-selected",
  },
  {
    title: "an empty neverInjectSelector",
    namespaceLabels: enabled,
    config: { neverInjectSelector: [{}] },
    expected: "inject",
  },
  {
    title: "alwaysInjectSelector where the policy is disabled",
    namespaceLabels: enabled,
    labels: { app: "web" },
    config: { policy: "disabled", alwaysInjectSelector: [{ matchLabels: { app: "web" } }] },
    expected: "inject",
  },
  {
    title: "alwaysInjectSelector and a pod that opts out",
    namespaceLabels: enabled,
    labels: { app: "web", ...wish("false") },
    config: { policy: "disabled", alwaysInjectSelector: [{ matchLabels: { app: "web" } }] },
    expected: "pod-opted-out",
  },
  {
    title: "alwaysInjectSelector selects nothing where nothing asks",
    labels: { app: "web" },
    config: { alwaysInjectSelector: [{ matchLabels: { app: "web" } }] },
    expected: "not-selected",
  },

  {
    title: "an annotation copied from an injected pod",
    namespaceLabels: enabled,
    annotations: status,
    expected: "inject",
  },

  { title: "a pod selected by the caller", namespaceLabels: null, expected: "inject" },
  {
    title: "a pod selected by the caller that opts out",
    namespaceLabels: null,
    annotations: wish("false"),
    expected: "pod-opted-out",
  },
  {
    title: "a pod selected by the caller, of another revision",
    namespaceLabels: null,
    labels: canary,
    expected: "inject",
  },
];

for (const { title, expected, ...rest } of cases) {
  test(`${title}: ${expected}`, () => {
    const reason = skipReason(input(rest));
    assert.equal(reason?.code ?? "inject", expected);
    if (reason) assert.match(reason.message, /^[A-Z].*\.$/);
  });
}

test("a decision to inject carries the plan", () => {
  const decision = decide(input({ namespaceLabels: enabled }));
  assert.ok(decision.inject && decision.plan.kind === "inject");
  assert.deepEqual(
    decision.plan.initContainers.map(({ name }) => name),
    ["istio-init", "istio-proxy"],
  );
});

test("a reason names what it follows from", () => {
  const inDisabled = skipReason(input({ namespaceLabels: disabled }));
  assert.equal(inDisabled?.message, "Namespace shop has the label istio-injection=disabled.");
  const optedOut = skipReason(input({ namespaceLabels: enabled, annotations: wish("no") }));
  assert.equal(optedOut?.message, `The pod's annotation sidecar.istio.io/inject is "no".`);
});

function input({ namespace = "shop", namespaceLabels = {}, ...rest }: Omit<Case, "title" | "expected">): DecisionInput {
  return {
    pod: {
      metadata: { name: "web", labels: rest.labels ?? {}, annotations: rest.annotations ?? {} },
      spec: { containers: [{ name: "app" }], ...rest.spec },
    },
    namespace,
    ...(namespaceLabels === null ? {} : { namespaceLabels }),
    ...(rest.formerNamespaceLabels && { formerNamespaceLabels: rest.formerNamespaceLabels }),
    config: { ...defaultInjectionConfig, ...rest.config },
  };
}
