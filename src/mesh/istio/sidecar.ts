import { type Static, Type } from "typebox";
import type { MeshObject } from "../object.ts";
import { ConnectionPoolSettings } from "./connection-pool.ts";
import { closed, Destination, PortNumber, StringMap } from "./fields.ts";

/** https://istio.io/latest/docs/reference/config/networking/sidecar/ */

const ListenerPort = Type.Object(
  { number: PortNumber, protocol: Type.Optional(Type.String()), name: Type.Optional(Type.String()) },
  closed,
);

const CaptureMode = Type.Union([Type.Literal("DEFAULT"), Type.Literal("IPTABLES"), Type.Literal("NONE")]);
export type CaptureMode = Static<typeof CaptureMode>;

const where = {
  bind: Type.Optional(Type.String({ maxLength: 255 })),
  captureMode: Type.Optional(CaptureMode),
};

export const EgressListener = Type.Object(
  {
    port: Type.Optional(ListenerPort),
    ...where,
    /** `NAMESPACE/HOST`, where the namespace may be `.`, `*` or `~` and the host a wildcard. */
    hosts: Type.Array(Type.String({ maxLength: 320 }), { minItems: 1 }),
  },
  closed,
);
export type EgressListener = Static<typeof EgressListener>;

export const IngressListener = Type.Object(
  {
    port: ListenerPort,
    ...where,
    /** `127.0.0.1:PORT`, `[::1]:PORT`, `0.0.0.0:PORT` (the pod's own address) or `unix:///path`. */
    defaultEndpoint: Type.Optional(Type.String({ maxLength: 255 })),
    connectionPool: Type.Optional(ConnectionPoolSettings),
  },
  closed,
);
export type IngressListener = Static<typeof IngressListener>;

export const SidecarSpec = Type.Object(
  {
    workloadSelector: Type.Optional(Type.Object({ labels: Type.Optional(StringMap) }, closed)),
    ingress: Type.Optional(Type.Array(IngressListener)),
    egress: Type.Optional(Type.Array(EgressListener)),
    inboundConnectionPool: Type.Optional(ConnectionPoolSettings),
    outboundTrafficPolicy: Type.Optional(
      Type.Object(
        {
          mode: Type.Optional(Type.Union([Type.Literal("ALLOW_ANY"), Type.Literal("REGISTRY_ONLY")])),
          egressProxy: Type.Optional(Destination),
        },
        closed,
      ),
    ),
  },
  closed,
);

/** What the proxies of some workloads see and listen on. */
export interface Sidecar extends MeshObject {
  readonly kind: "Sidecar";
  readonly spec: Static<typeof SidecarSpec>;
}
