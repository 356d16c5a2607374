import { labelsMatch } from "../mesh/labels.ts";
import type { MeshPort, MeshService } from "../mesh/mesh-service.ts";
import { ownValue } from "../mesh/own-value.ts";
import type { MeshSnapshot } from "../mesh/snapshot.ts";
import type { Workload } from "./workload.ts";

/** Whether a Service's traffic comes to the workload, by its labels or, where it selects nobody, its address. */
export function leadsTo(service: MeshService, workload: Workload, address: string, mesh: MeshSnapshot): boolean {
  if (service.selector !== undefined && Object.keys(service.selector).length > 0) {
    return labelsMatch(service.selector, workload.labels);
  }
  return service.kind === "Service" && endpointAt(service, address, mesh) !== undefined;
}

/** The workload's own port behind a Service's; undefined where it has none of the name. */
export function workloadPort(
  port: MeshPort,
  service: MeshService,
  workload: Workload,
  address: string,
  mesh: MeshSnapshot,
): number | undefined {
  if (typeof port.targetPort === "number") return port.targetPort;
  return (
    ownValue(workload.namedPorts, port.targetPort) ??
    ownValue(endpointAt(service, address, mesh)?.ports ?? {}, port.name)
  );
}

function endpointAt(service: MeshService, address: string, mesh: MeshSnapshot) {
  return mesh.endpointsOf(service).endpoints.find((endpoint) => endpoint.address === address);
}
