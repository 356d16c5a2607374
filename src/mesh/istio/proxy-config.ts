import { type Static, Type } from "typebox";
import type { MeshObject } from "../object.ts";
import { WorkloadSelector } from "./peer-authentication.ts";

/** https://istio.io/latest/docs/reference/config/networking/proxy-config/ */

const closed = { additionalProperties: false } as const;

export const ProxyConfigSpec = Type.Object(
  {
    selector: Type.Optional(WorkloadSelector),
    concurrency: Type.Optional(Type.Integer({ minimum: 0, maximum: 1024 })),
    environmentVariables: Type.Optional(Type.Record(Type.String(), Type.String(), closed)),
    image: Type.Optional(Type.Object({ imageType: Type.Optional(Type.String()) }, closed)),
  },
  closed,
);

/** Settings of the proxies of some workloads; they hold from a pod's creation on. */
export interface ProxyConfigResource extends MeshObject {
  readonly kind: "ProxyConfig";
  readonly spec: Static<typeof ProxyConfigSpec>;
}
