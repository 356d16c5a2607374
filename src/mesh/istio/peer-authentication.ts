import { type Static, Type } from "typebox";
import type { MeshObject } from "../object.ts";

/** https://istio.io/latest/docs/reference/config/security/peer_authentication/ */

const closed = { additionalProperties: false } as const;

export const WorkloadSelector = Type.Object(
  { matchLabels: Type.Optional(Type.Record(Type.String(), Type.String(), closed)) },
  closed,
);
export type WorkloadSelector = Static<typeof WorkloadSelector>;

export const MutualTls = Type.Object(
  {
    mode: Type.Optional(
      Type.Union([Type.Literal("UNSET"), Type.Literal("DISABLE"), Type.Literal("PERMISSIVE"), Type.Literal("STRICT")]),
    ),
  },
  closed,
);
export type MutualTls = Static<typeof MutualTls>;

export const PeerAuthenticationSpec = Type.Object(
  {
    selector: Type.Optional(WorkloadSelector),
    mtls: Type.Optional(MutualTls),
    /** Keyed by the workload's port number, as text. */
    portLevelMtls: Type.Optional(Type.Record(Type.String({ pattern: "^[0-9]+$" }), MutualTls, closed)),
  },
  closed,
);

export interface PeerAuthentication extends MeshObject {
  readonly kind: "PeerAuthentication";
  readonly spec: Static<typeof PeerAuthenticationSpec>;
}
