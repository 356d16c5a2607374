import { type Static, Type } from "typebox";
import { Count, closed, DurationText } from "./fields.ts";

const TcpSettings = Type.Object(
  {
    maxConnections: Type.Optional(Count),
    connectTimeout: Type.Optional(DurationText),
    tcpKeepalive: Type.Optional(
      Type.Object(
        {
          probes: Type.Optional(Count),
          time: Type.Optional(DurationText),
          interval: Type.Optional(DurationText),
        },
        closed,
      ),
    ),
    maxConnectionDuration: Type.Optional(DurationText),
    idleTimeout: Type.Optional(DurationText),
  },
  closed,
);

const HttpSettings = Type.Object(
  {
    http1MaxPendingRequests: Type.Optional(Count),
    http2MaxRequests: Type.Optional(Count),
    maxRequestsPerConnection: Type.Optional(Count),
    maxRetries: Type.Optional(Count),
    idleTimeout: Type.Optional(DurationText),
    h2UpgradePolicy: Type.Optional(
      Type.Union([Type.Literal("DEFAULT"), Type.Literal("DO_NOT_UPGRADE"), Type.Literal("UPGRADE")]),
    ),
    useClientProtocol: Type.Optional(Type.Boolean()),
    // HTTP/2's own limit (https://www.rfc-editor.org/rfc/rfc9113#name-stream-identifiers).
    maxConcurrentStreams: Type.Optional(Count),
    /** How often a connection is asked by a PING whether it lives, and how long an answer may take. */
    http2KeepAlive: Type.Optional(Type.Object({ interval: DurationText, timeout: DurationText }, closed)),
  },
  closed,
);

/** https://istio.io/latest/docs/reference/config/networking/destination-rule/#ConnectionPoolSettings */
export const ConnectionPoolSettings = Type.Object(
  { tcp: Type.Optional(TcpSettings), http: Type.Optional(HttpSettings) },
  closed,
);
export type ConnectionPoolSettings = Static<typeof ConnectionPoolSettings>;
