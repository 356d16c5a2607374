import { joinPath } from "./conform.ts";
import { DRY_RUN } from "./dry-run.ts";
import type { KnownObject } from "./kinds.ts";
import { type Problem, refusal } from "./problem.ts";
import { refuseAuthorizationPolicy } from "./refuse-authorization-policy.ts";
import { refuseDestinationRule } from "./refuse-destination-rule.ts";
import { refuseGateway } from "./refuse-gateway.ts";
import { refuseServiceEntry } from "./refuse-service-entry.ts";
import { refuseSidecar } from "./refuse-sidecar.ts";
import { refuseVirtualService } from "./refuse-virtual-service.ts";
import { refuseWorkloadEntry } from "./refuse-workload-entry.ts";

/** What Istio's validation refuses of an object that can be used: see `refusal`. */
export function findRefusals(object: KnownObject): Problem[] {
  return [...refuseDryRun(object), ...refuseKind(object)];
}

/** Of policies alone: nobody who writes it on another of Istio's kinds means what happens then. */
function refuseDryRun({ apiVersion, kind, metadata }: KnownObject): Problem[] {
  if (!apiVersion.includes(".istio.io/") || kind === "AuthorizationPolicy") return [];
  if (!Object.hasOwn(metadata.annotations, DRY_RUN)) return [];
  return [
    refusal(joinPath("metadata.annotations", DRY_RUN), `is for an AuthorizationPolicy: ${kind} has none, so remove it`),
  ];
}

function refuseKind(object: KnownObject): Problem[] {
  switch (object.kind) {
    case "AuthorizationPolicy":
      return refuseAuthorizationPolicy(object);
    case "DestinationRule":
      return [...refuseNobody(object.spec), ...refuseDestinationRule(object.spec)];
    case "Gateway":
      return refuseGateway(object);
    case "ServiceEntry":
      return refuseServiceEntry(object);
    case "Sidecar":
      return refuseSidecar(object);
    case "VirtualService":
      return [...refuseNobody(object.spec), ...refuseVirtualService(object.spec)];
    case "WorkloadEntry":
      return refuseWorkloadEntry(object.spec, "spec");
    default:
      return [];
  }
}

/** Services may be hidden from everybody; of configuration Istio takes that for a mistake. */
function refuseNobody({ exportTo = [] }: { readonly exportTo?: readonly string[] }): Problem[] {
  return exportTo.includes("~")
    ? [refusal("spec.exportTo", "is ~, nobody, so the object has no effect: remove it")]
    : [];
}
