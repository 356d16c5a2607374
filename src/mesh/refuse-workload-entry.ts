import type { WorkloadEntrySpec } from "./istio/workload-entry.ts";
import { type Problem, refusal } from "./problem.ts";
import { refuseHostOrAddress } from "./refuse-host.ts";

/** What Istio's validation of a WorkloadEntry refuses, also as an endpoint of a ServiceEntry. */
export function refuseWorkloadEntry({ address = "" }: WorkloadEntrySpec, path: string): Problem[] {
  if (address === "") return [];
  if (!address.startsWith("unix://")) return refuseHostOrAddress(address, `${path}.address`);
  return address.endsWith("/") ? [refusal(`${path}.address`, "is the path of a folder, and no socket's")] : [];
}
