import { type Static, Type } from "typebox";
import type { MeshObject } from "../object.ts";
import { closed, StringMap } from "./fields.ts";
import { WorkloadEntrySpec } from "./workload-entry.ts";

/** https://istio.io/latest/docs/reference/config/networking/workload-group/ */

const Headers = Type.Array(
  Type.Object({ name: Type.Optional(Type.String()), value: Type.Optional(Type.String()) }, closed),
);
const Port = Type.Integer({ minimum: 0, maximum: 65535 });
const Seconds = Type.Optional(Type.Integer({ minimum: 0 }));

const ReadinessProbe = Type.Object(
  {
    initialDelaySeconds: Seconds,
    timeoutSeconds: Seconds,
    periodSeconds: Seconds,
    successThreshold: Seconds,
    failureThreshold: Seconds,
    httpGet: Type.Optional(
      Type.Object(
        {
          path: Type.Optional(Type.String()),
          port: Port,
          host: Type.Optional(Type.String()),
          scheme: Type.Optional(Type.String()),
          httpHeaders: Type.Optional(Headers),
        },
        closed,
      ),
    ),
    tcpSocket: Type.Optional(Type.Object({ host: Type.Optional(Type.String()), port: Port }, closed)),
    exec: Type.Optional(Type.Object({ command: Type.Optional(Type.Array(Type.String())) }, closed)),
    grpc: Type.Optional(Type.Object({ port: Port, service: Type.Optional(Type.String()) }, closed)),
  },
  closed,
);

export const WorkloadGroupSpec = Type.Object(
  {
    metadata: Type.Optional(
      Type.Object({ labels: Type.Optional(StringMap), annotations: Type.Optional(StringMap) }, closed),
    ),
    template: WorkloadEntrySpec,
    probe: Type.Optional(ReadinessProbe),
  },
  closed,
);

/** What the WorkloadEntries of a set of machines have in common, as a Deployment's template says it of pods. */
export interface WorkloadGroup extends MeshObject {
  readonly kind: "WorkloadGroup";
  readonly spec: Static<typeof WorkloadGroupSpec>;
}
