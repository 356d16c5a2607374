import { type Static, Type } from "typebox";
import type { MeshObject } from "../object.ts";
import { closed, HostText } from "./fields.ts";
import { HttpRoute } from "./http-route.ts";
import { TcpRoute, TlsRoute } from "./tcp-route.ts";

/** https://istio.io/latest/docs/reference/config/networking/virtual-service/ */
export const VirtualServiceSpec = Type.Object(
  {
    /** None for one that others delegate to. */
    hosts: Type.Optional(Type.Array(HostText)),
    gateways: Type.Optional(Type.Array(Type.String())),
    http: Type.Optional(Type.Array(HttpRoute)),
    tls: Type.Optional(Type.Array(TlsRoute)),
    tcp: Type.Optional(Type.Array(TcpRoute)),
    exportTo: Type.Optional(Type.Array(Type.String())),
  },
  closed,
);

export interface VirtualService extends MeshObject {
  readonly kind: "VirtualService";
  readonly spec: Static<typeof VirtualServiceSpec>;
}
