import assert from "node:assert/strict";
import { applyPlan } from "../../src/injection/apply.ts";
import { defaultInjectionConfig, type InjectionConfig } from "../../src/injection/injection-config.ts";
import { buildPlan, type PlanInput } from "../../src/injection/plan.ts";
import type { PodManifest } from "../../src/injection/pod.ts";

/** A small pod as injection makes it of its annotations, and what stands in it. */

export const sidecar = (name: string) => `sidecar.istio.io/${name}`;
export const config = (yaml: string) => ({ "proxy.istio.io/config": yaml });
export const discovery = "trysail.trysail-system.svc:15012";

const spec: PodManifest["spec"] = { containers: [{ name: "app" }] };

export function inject(
  annotations: Readonly<Record<string, string>>,
  changes: Partial<InjectionConfig> = {},
  more: Partial<PlanInput> = {},
): { pod: PodManifest; warnings: readonly string[] } {
  const pod = { metadata: { name: "web", annotations: { ...annotations } }, spec };
  const plan = buildPlan({ pod, namespace: "shop", config: { ...defaultInjectionConfig, ...changes }, ...more });
  return { pod: applyPlan(pod, plan), warnings: plan.warnings };
}

export function containerOf({ spec }: PodManifest, name: string): Record<string, unknown> {
  const found = [...(spec.initContainers ?? []), ...spec.containers].find((container) => container.name === name);
  assert.ok(found, `the pod has no ${name}`);
  return { ...found };
}

export function byName(env: unknown): Record<string, string> {
  const entries = Array.isArray(env) ? env : [];
  return Object.fromEntries(entries.map(({ name, value = "" }) => [name, value]));
}

/** The security context of a container without rights. */
export function restricted() {
  return {
    allowPrivilegeEscalation: false,
    capabilities: { drop: ["ALL"] },
    privileged: false,
    readOnlyRootFilesystem: true,
    runAsGroup: 1337,
    runAsNonRoot: true,
    runAsUser: 1337,
    seccompProfile: { type: "RuntimeDefault" },
  };
}
