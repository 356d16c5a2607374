import { type Static, Type } from "typebox";
import type { MeshObject } from "../object.ts";
import { HostText, SubsetName } from "./virtual-service.ts";

/** https://istio.io/latest/docs/reference/config/networking/destination-rule/ */

const closed = { additionalProperties: false } as const;

export const ClientTlsSettings = Type.Object(
  { mode: Type.Union([Type.Literal("DISABLE"), Type.Literal("ISTIO_MUTUAL")]) },
  closed,
);

export const TrafficPolicy = Type.Object({ tls: Type.Optional(ClientTlsSettings) }, closed);
export type TrafficPolicy = Static<typeof TrafficPolicy>;

export const Subset = Type.Object(
  {
    name: SubsetName,
    labels: Type.Optional(Type.Record(Type.String(), Type.String(), closed)),
    trafficPolicy: Type.Optional(TrafficPolicy),
  },
  closed,
);
export type Subset = Static<typeof Subset>;

export const DestinationRuleSpec = Type.Object(
  {
    host: HostText,
    trafficPolicy: Type.Optional(TrafficPolicy),
    subsets: Type.Optional(Type.Array(Subset)),
    exportTo: Type.Optional(Type.Array(Type.String())),
  },
  closed,
);

export interface DestinationRule extends MeshObject {
  readonly kind: "DestinationRule";
  readonly spec: Static<typeof DestinationRuleSpec>;
}
