import { type Static, Type } from "typebox";
import type { MeshObject } from "../object.ts";
import { closed, HostText, PortNumber, StringMap } from "./fields.ts";
import { WorkloadEntrySpec } from "./workload-entry.ts";

/** https://istio.io/latest/docs/reference/config/networking/service-entry/ */

export const ServiceEntryPort = Type.Object(
  {
    number: PortNumber,
    protocol: Type.Optional(Type.String()),
    name: Type.String({ maxLength: 63 }),
    /** Of the endpoints; the port's own number where it is left out. */
    targetPort: Type.Optional(PortNumber),
  },
  closed,
);
export type ServiceEntryPort = Static<typeof ServiceEntryPort>;

/** Such a port is known, and the mesh has no part in it. */
export function isUdp({ protocol }: ServiceEntryPort): boolean {
  return protocol?.toUpperCase() === "UDP";
}

export const ServiceEntrySpec = Type.Object(
  {
    hosts: Type.Array(HostText, { minItems: 1, maxItems: 256 }),
    /** IP addresses and CIDR blocks. */
    addresses: Type.Optional(Type.Array(Type.String(), { maxItems: 256 })),
    ports: Type.Optional(Type.Array(ServiceEntryPort, { maxItems: 256 })),
    location: Type.Optional(Type.Union([Type.Literal("MESH_EXTERNAL"), Type.Literal("MESH_INTERNAL")])),
    resolution: Type.Optional(
      Type.Union([
        Type.Literal("NONE"),
        Type.Literal("STATIC"),
        Type.Literal("DNS"),
        Type.Literal("DNS_ROUND_ROBIN"),
        Type.Literal("DYNAMIC_DNS"),
      ]),
    ),
    endpoints: Type.Optional(Type.Array(WorkloadEntrySpec, { maxItems: 4096 })),
    workloadSelector: Type.Optional(Type.Object({ labels: Type.Optional(StringMap) }, closed)),
    exportTo: Type.Optional(Type.Array(Type.String())),
    subjectAltNames: Type.Optional(Type.Array(Type.String({ minLength: 1 }))),
  },
  closed,
);

export interface ServiceEntry extends MeshObject {
  readonly kind: "ServiceEntry";
  readonly spec: Static<typeof ServiceEntrySpec>;
}
