import { type Static, Type } from "typebox";
import { closed, DurationText } from "./fields.ts";

const HttpCookie = Type.Object(
  {
    name: Type.String({ minLength: 1 }),
    path: Type.Optional(Type.String()),
    /** `0s` makes it a cookie of the session; without it, none is ever set. */
    ttl: Type.Optional(DurationText),
    attributes: Type.Optional(
      Type.Array(Type.Object({ name: Type.String({ minLength: 1 }), value: Type.Optional(Type.String()) }, closed)),
    ),
  },
  closed,
);

/** Envoy's largest ring. */
const RingSize = Type.Integer({ minimum: 0, maximum: 8 * 1024 * 1024 });

/** The same caller gets the same endpoint, told by one of four keys. */
const ConsistentHash = Type.Object(
  {
    httpHeaderName: Type.Optional(Type.String({ minLength: 1 })),
    httpCookie: Type.Optional(HttpCookie),
    useSourceIp: Type.Optional(Type.Boolean()),
    httpQueryParameterName: Type.Optional(Type.String({ minLength: 1 })),
    ringHash: Type.Optional(Type.Object({ minimumRingSize: Type.Optional(RingSize) }, closed)),
    maglev: Type.Optional(
      Type.Object({ tableSize: Type.Optional(Type.Integer({ minimum: 0, maximum: 5_000_011 })) }, closed),
    ),
    /** The older way to write `ringHash.minimumRingSize`. */
    minimumRingSize: Type.Optional(RingSize),
  },
  closed,
);
export type ConsistentHash = Static<typeof ConsistentHash>;

const Warmup = Type.Object(
  {
    duration: DurationText,
    minimumPercent: Type.Optional(Type.Number({ minimum: 0, maximum: 100 })),
    aggression: Type.Optional(Type.Number({ minimum: 1 })),
  },
  closed,
);

/** https://istio.io/latest/docs/reference/config/networking/destination-rule/#LocalityLoadBalancerSetting */
export const LocalityLbSetting = Type.Object(
  {
    distribute: Type.Optional(
      Type.Array(
        Type.Object(
          {
            from: Type.String(),
            to: Type.Record(Type.String(), Type.Integer({ minimum: 0, maximum: 100 }), closed),
          },
          closed,
        ),
      ),
    ),
    failover: Type.Optional(Type.Array(Type.Object({ from: Type.String(), to: Type.String() }, closed))),
    failoverPriority: Type.Optional(Type.Array(Type.String())),
    enabled: Type.Optional(Type.Boolean()),
  },
  closed,
);
export type LocalityLbSetting = Static<typeof LocalityLbSetting>;

/** https://istio.io/latest/docs/reference/config/networking/destination-rule/#LoadBalancerSettings */
export const LoadBalancerSettings = Type.Object(
  {
    simple: Type.Optional(
      Type.Union([
        Type.Literal("UNSPECIFIED"),
        Type.Literal("LEAST_CONN"),
        Type.Literal("RANDOM"),
        Type.Literal("PASSTHROUGH"),
        Type.Literal("ROUND_ROBIN"),
        Type.Literal("LEAST_REQUEST"),
      ]),
    ),
    consistentHash: Type.Optional(ConsistentHash),
    localityLbSetting: Type.Optional(LocalityLbSetting),
    warmup: Type.Optional(Warmup),
    /** The older way to write `warmup.duration`. */
    warmupDurationSecs: Type.Optional(DurationText),
  },
  closed,
);
export type LoadBalancerSettings = Static<typeof LoadBalancerSettings>;
