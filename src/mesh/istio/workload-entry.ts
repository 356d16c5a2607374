import { type Static, Type } from "typebox";
import type { MeshObject } from "../object.ts";
import { closed, PortNumber, StringMap } from "./fields.ts";

/** https://istio.io/latest/docs/reference/config/networking/workload-entry/ */
export const WorkloadEntrySpec = Type.Object(
  {
    /** An IP address, a host name, or a socket as `unix:///path`; may be left out where a network says how to get there. */
    address: Type.Optional(Type.String({ maxLength: 255 })),
    /** By the names that ports have in the service. */
    ports: Type.Optional(Type.Record(Type.String(), PortNumber, closed)),
    labels: Type.Optional(StringMap),
    network: Type.Optional(Type.String()),
    /** `region/zone/subzone`. */
    locality: Type.Optional(Type.String({ maxLength: 255 })),
    weight: Type.Optional(Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1 })),
    serviceAccount: Type.Optional(Type.String({ maxLength: 253 })),
  },
  closed,
);
export type WorkloadEntrySpec = Static<typeof WorkloadEntrySpec>;

/** A workload that is no pod, such as a virtual machine. */
export interface WorkloadEntry extends MeshObject {
  readonly kind: "WorkloadEntry";
  readonly spec: WorkloadEntrySpec;
}
