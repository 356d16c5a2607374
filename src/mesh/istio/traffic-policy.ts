import { type Static, Type } from "typebox";
import { ConnectionPoolSettings } from "./connection-pool.ts";
import { Count, closed, DurationText, PortNumber, PortSelector } from "./fields.ts";
import { LoadBalancerSettings } from "./load-balancer.ts";

/** https://istio.io/latest/docs/reference/config/networking/destination-rule/#TrafficPolicy */

export const OutlierDetection = Type.Object(
  {
    /** The older name of `consecutive5xxErrors`' kind: gateway errors. */
    consecutiveErrors: Type.Optional(Count),
    consecutiveGatewayErrors: Type.Optional(Count),
    consecutive5xxErrors: Type.Optional(Count),
    splitExternalLocalOriginErrors: Type.Optional(Type.Boolean()),
    consecutiveLocalOriginFailures: Type.Optional(Count),
    interval: Type.Optional(DurationText),
    baseEjectionTime: Type.Optional(DurationText),
    maxEjectionPercent: Type.Optional(Type.Integer({ minimum: 0, maximum: 100 })),
    minHealthPercent: Type.Optional(Type.Integer({ minimum: 0, maximum: 100 })),
  },
  closed,
);
export type OutlierDetection = Static<typeof OutlierDetection>;

export const ClientTlsSettings = Type.Object(
  {
    mode: Type.Optional(
      Type.Union([
        Type.Literal("DISABLE"),
        Type.Literal("SIMPLE"),
        Type.Literal("MUTUAL"),
        Type.Literal("ISTIO_MUTUAL"),
      ]),
    ),
    clientCertificate: Type.Optional(Type.String()),
    privateKey: Type.Optional(Type.String()),
    caCertificates: Type.Optional(Type.String()),
    caCrl: Type.Optional(Type.String()),
    /** A Kubernetes Secret's. */
    credentialName: Type.Optional(
      Type.String({
        pattern: "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$",
        maxLength: 253,
        description: "a name of lower-case letters, digits, - and .",
      }),
    ),
    subjectAltNames: Type.Optional(Type.Array(Type.String())),
    sni: Type.Optional(Type.String()),
    insecureSkipVerify: Type.Optional(Type.Boolean()),
  },
  closed,
);
export type ClientTlsSettings = Static<typeof ClientTlsSettings>;

/** TCP connections go through an HTTP proxy, told to connect to the target. */
const TunnelSettings = Type.Object(
  {
    protocol: Type.Optional(Type.Union([Type.Literal("CONNECT"), Type.Literal("POST")])),
    targetHost: Type.String({
      minLength: 1,
      maxLength: 255,
      pattern: "^[^\\s\\0]+$",
      description: "a host or address",
    }),
    targetPort: PortNumber,
  },
  closed,
);
export type TunnelSettings = Static<typeof TunnelSettings>;

const ProxyProtocol = Type.Object(
  { version: Type.Optional(Type.Union([Type.Literal("V1"), Type.Literal("V2")])) },
  closed,
);

const RetryBudget = Type.Object(
  {
    percent: Type.Optional(Type.Number({ minimum: 0, maximum: 100 })),
    minRetryConcurrency: Type.Optional(Count),
  },
  closed,
);

const perPort = {
  loadBalancer: Type.Optional(LoadBalancerSettings),
  connectionPool: Type.Optional(ConnectionPoolSettings),
  outlierDetection: Type.Optional(OutlierDetection),
  tls: Type.Optional(ClientTlsSettings),
};

/** What a port has in the place of the whole policy's four settings: one that it does not give is at its default. */
const PortTrafficPolicy = Type.Object({ port: PortSelector, ...perPort }, closed);

export const TrafficPolicy = Type.Object(
  {
    ...perPort,
    portLevelSettings: Type.Optional(Type.Array(PortTrafficPolicy, { maxItems: 4096 })),
    tunnel: Type.Optional(TunnelSettings),
    proxyProtocol: Type.Optional(ProxyProtocol),
    retryBudget: Type.Optional(RetryBudget),
  },
  closed,
);
export type TrafficPolicy = Static<typeof TrafficPolicy>;
