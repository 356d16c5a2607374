import { type Static, Type } from "typebox";
import { closed, DurationText, HostText, PortNumber, StringMatch } from "../istio/fields.ts";
import { WorkloadSelector } from "../istio/peer-authentication.ts";
import type { MeshObject } from "../object.ts";

/** A kind of Trysail's own, for what Istio leaves to hand-written Envoy configuration: docs/rate-limits.md. */

/** Tells the limits of one object apart, in counts and in metrics. */
const LimitName = Type.String({
  pattern: "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
  maxLength: 63,
  description: "a name of lower-case letters, digits and -",
});

const HeaderName = Type.String({
  pattern: "^[!#$%&*+.^_`|~0-9A-Za-z-]+$",
  maxLength: 256,
  description: "a header's name",
});

const Ports = Type.Optional(Type.Array(PortNumber, { maxItems: 64 }));

/** What Envoy's counters hold. */
const Amount = Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1 });

const RateUnit = Type.Union([
  Type.Literal("SECOND"),
  Type.Literal("MINUTE"),
  Type.Literal("HOUR"),
  Type.Literal("DAY"),
  Type.Literal("MONTH"),
]);
export type RateUnit = Static<typeof RateUnit>;

/** Requests or connections in each unit of time; a bucket may hold more of them than it is filled with. */
const Rate = Type.Object({ amount: Amount, unit: RateUnit, burst: Type.Optional(Amount) }, closed);
export type Rate = Static<typeof Rate>;

/** What each value of has a count of its own. */
export const CountedBy = Type.Union([
  Type.Object({ header: HeaderName }, closed),
  Type.Object(
    {
      claim: Type.String({
        pattern: "^[A-Za-z0-9_:./-]+$",
        maxLength: 256,
        description: "the name of a claim",
      }),
    },
    closed,
  ),
  Type.Object(
    {
      constant: Type.String({
        pattern: "^[A-Za-z0-9_:./-]+$",
        maxLength: 256,
        description: "a text of letters, digits and _ : . / -",
      }),
    },
    closed,
  ),
  Type.Object(
    {
      attribute: Type.Union([
        Type.Literal("IDENTITY"),
        Type.Literal("METHOD"),
        Type.Literal("PATH"),
        Type.Literal("REMOTE_ADDRESS"),
      ]),
    },
    closed,
  ),
]);
export type CountedBy = Static<typeof CountedBy>;

/** Which requests count; all that is said must hold. */
export const RequestMatch = Type.Object(
  {
    methods: Type.Optional(Type.Array(Type.String({ minLength: 1 }), { minItems: 1, maxItems: 64 })),
    paths: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 1024 }), { minItems: 1, maxItems: 64 })),
    headers: Type.Optional(Type.Record(Type.String(), StringMatch, closed)),
  },
  closed,
);
export type RequestMatch = Static<typeof RequestMatch>;

const By = Type.Optional(Type.Array(CountedBy, { maxItems: 8 }));
const Shadow = Type.Optional(Type.Boolean());

export const RequestLimit = Type.Object(
  {
    name: LimitName,
    scope: Type.Union([Type.Literal("CONNECTION"), Type.Literal("PROXY"), Type.Literal("GLOBAL")]),
    rate: Rate,
    ports: Ports,
    match: Type.Optional(RequestMatch),
    by: By,
    shadow: Shadow,
  },
  closed,
);
export type RequestLimit = Static<typeof RequestLimit>;

export const ConnectionLimit = Type.Object(
  {
    name: LimitName,
    scope: Type.Union([Type.Literal("PROXY"), Type.Literal("GLOBAL")]),
    rate: Rate,
    ports: Ports,
    by: By,
    shadow: Shadow,
  },
  closed,
);
export type ConnectionLimit = Static<typeof ConnectionLimit>;

/** What a caller is told whose request is one too many. */
export const Exceeded = Type.Object(
  {
    status: Type.Optional(Type.Integer({ minimum: 400, maximum: 599 })),
    body: Type.Optional(Type.String({ maxLength: 4096 })),
    headers: Type.Optional(Type.Record(Type.String(), Type.String({ maxLength: 1024 }), closed)),
  },
  closed,
);
export type Exceeded = Static<typeof Exceeded>;

/** Who counts for all proxies together. */
export const RateLimitService = Type.Object(
  {
    host: Type.Optional(HostText),
    port: Type.Optional(PortNumber),
    timeout: Type.Optional(DurationText),
    failureMode: Type.Optional(Type.Union([Type.Literal("ALLOW"), Type.Literal("DENY")])),
  },
  closed,
);
export type RateLimitService = Static<typeof RateLimitService>;

/** A Service of the object's own namespace: what is limited is what comes to its workloads at its ports. */
export const TargetRef = Type.Object(
  {
    group: Type.Optional(Type.String({ maxLength: 0, description: "nothing, as core kinds have no group" })),
    kind: Type.Literal("Service"),
    name: Type.String({ minLength: 1, maxLength: 63, description: "the name of a Service" }),
  },
  closed,
);
export type TargetRef = Static<typeof TargetRef>;

export const RateLimitSpec = Type.Object(
  {
    selector: Type.Optional(WorkloadSelector),
    /** Instead of a selector. */
    targetRefs: Type.Optional(Type.Array(TargetRef, { maxItems: 16 })),
    requests: Type.Optional(Type.Array(RequestLimit, { maxItems: 64 })),
    connections: Type.Optional(Type.Array(ConnectionLimit, { maxItems: 64 })),
    exceeded: Type.Optional(Exceeded),
    /** Whether answers carry `x-ratelimit-limit`, `x-ratelimit-remaining` and `x-ratelimit-reset`. */
    showLimits: Type.Optional(Type.Boolean()),
    service: Type.Optional(RateLimitService),
  },
  closed,
);

export interface RateLimit extends MeshObject {
  readonly kind: "RateLimit";
  readonly spec: Static<typeof RateLimitSpec>;
}

/** Where the service is that the chart installs. */
const DEFAULT_HOST = "trysail-ratelimit.trysail-ratelimit.svc";
const DEFAULT_PORT = 8081;

/** The host, with the mesh's domain where none is written, and port of whoever counts for an object. */
export function rateLimitHost({ service = {} }: RateLimit["spec"], domain: string): { host: string; port: number } {
  return { host: service.host ?? `${DEFAULT_HOST}.${domain}`, port: service.port ?? DEFAULT_PORT };
}

/** Under what name proxies and service speak of an object's counts. */
export function rateLimitDomain({ metadata }: RateLimit): string {
  return `${metadata.namespace}/${metadata.name}`;
}

/** Whether any of its counts are kept outside of the proxy. */
export function countsGlobally({ spec: { requests = [], connections = [] } }: RateLimit): boolean {
  return [...requests, ...connections].some(({ scope }) => scope === "GLOBAL");
}
