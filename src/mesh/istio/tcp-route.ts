import { type Static, Type } from "typebox";
import { closed, Destination, PortNumber, StringMap, Weight } from "./fields.ts";

/** Routes of connections: https://istio.io/latest/docs/reference/config/networking/virtual-service/#TCPRoute */

const matchFields = {
  destinationSubnets: Type.Optional(Type.Array(Type.String())),
  port: Type.Optional(PortNumber),
  sourceLabels: Type.Optional(StringMap),
  sourceNamespace: Type.Optional(Type.String()),
  gateways: Type.Optional(Type.Array(Type.String())),
};

/** All of these must hold. */
export const L4Match = Type.Object(matchFields, closed);
export type L4Match = Static<typeof L4Match>;

const TlsMatch = Type.Object({ sniHosts: Type.Array(Type.String(), { minItems: 1 }), ...matchFields }, closed);
export type TlsMatch = Static<typeof TlsMatch>;

const RouteDestination = Type.Object({ destination: Destination, weight: Type.Optional(Weight) }, closed);
export type RouteDestination = Static<typeof RouteDestination>;

const routes = Type.Array(RouteDestination, { minItems: 1 });

export const TcpRoute = Type.Object({ match: Type.Optional(Type.Array(L4Match)), route: routes }, closed);
export type TcpRoute = Static<typeof TcpRoute>;

/** Told by the server name that the caller asks for in TLS, which stays encrypted. */
export const TlsRoute = Type.Object({ match: Type.Array(TlsMatch, { minItems: 1 }), route: routes }, closed);
export type TlsRoute = Static<typeof TlsRoute>;
