import { type Static, Type } from "typebox";
import type { MeshObject } from "../object.ts";
import { closed, HostText, StringMap, SubsetName } from "./fields.ts";
import { TrafficPolicy } from "./traffic-policy.ts";

/** https://istio.io/latest/docs/reference/config/networking/destination-rule/ */

export const Subset = Type.Object(
  {
    name: SubsetName,
    labels: Type.Optional(StringMap),
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
    workloadSelector: Type.Optional(Type.Object({ matchLabels: Type.Optional(StringMap) }, closed)),
  },
  closed,
);

export interface DestinationRule extends MeshObject {
  readonly kind: "DestinationRule";
  readonly spec: Static<typeof DestinationRuleSpec>;
}
