import type { InjectionConfig } from "./injection-config.ts";
import type { MetricsPlan } from "./metrics.ts";
import type { PodManifest } from "./pod.ts";
import type { AppProbers, InterceptionSettings } from "./pod-contract.ts";
import type { ProxySettings } from "./proxy-settings.ts";
import type { Owner } from "./workload-owner.ts";

/** What every builder of a part of the injected pod may look at. */
export interface PlanContext {
  readonly pod: PodManifest;
  readonly namespace: string;
  readonly owner: Owner;
  readonly config: InjectionConfig;
  readonly settings: ProxySettings;
  readonly interception: InterceptionSettings;
  readonly probers: AppProbers;
  readonly metrics: MetricsPlan;
  /** A gateway is the pod's purpose, not an addition to it. */
  readonly role: "sidecar" | "gateway";
}

/** Whether the init container redirects traffic; otherwise nobody does, or a plug-in on the node. */
export function interceptsInPod({ role, config, settings }: PlanContext): boolean {
  return role === "sidecar" && config.interceptionBy === "init" && settings.interceptionMode !== "NONE";
}
