import { type Static, Type } from "typebox";
import type { MeshObject } from "../object.ts";

/** https://istio.io/latest/docs/reference/config/networking/virtual-service/ */

const closed = { additionalProperties: false } as const;

/** Exactly one of the three, as in Istio's oneof. */
export const StringMatch = Type.Union([
  Type.Object({ exact: Type.String() }, closed),
  Type.Object({ prefix: Type.String() }, closed),
  Type.Object({ regex: Type.String({ maxLength: 1024 }) }, closed),
]);
export type StringMatch = Static<typeof StringMatch>;

/** A Go duration as Istio's YAML has it: `1.5s`, `250ms`, `1h`, `1m30s`. */
export const DurationText = Type.String({
  pattern: "^([0-9]+(\\.[0-9]+)?(h|m|s|ms|us|ns))+$",
  description: "a duration such as 1.5s, 250ms or 1m30s",
});

const StringMap = Type.Record(Type.String(), Type.String(), closed);
const Port = Type.Integer({ minimum: 1, maximum: 65535 });

/** A DNS name or address, perhaps with a leading wildcard; what it cannot hold are Envoy's separators, such as `|`. */
export const HostText = Type.String({
  pattern: "^(\\*|(\\*\\.)?[a-zA-Z0-9_]([-a-zA-Z0-9_.]*[a-zA-Z0-9_])?)$",
  maxLength: 255,
  description: "a host name, an address, * or *.suffix",
});

/** The name of a DestinationRule's subset: a DNS label, as in Istio. */
export const SubsetName = Type.String({
  pattern: "^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$",
  maxLength: 63,
  description: "a name of letters, digits and -",
});

/** Header and parameter matches by name; `{}` asks only that it is there. */
const NamedMatches = Type.Record(Type.String(), Type.Union([StringMatch, Type.Object({}, closed)]), closed);

export const Destination = Type.Object(
  {
    host: HostText,
    subset: Type.Optional(SubsetName),
    port: Type.Optional(Type.Object({ number: Port }, closed)),
  },
  closed,
);
export type Destination = Static<typeof Destination>;

export const HttpMatch = Type.Object(
  {
    name: Type.Optional(Type.String()),
    uri: Type.Optional(StringMatch),
    scheme: Type.Optional(StringMatch),
    method: Type.Optional(StringMatch),
    authority: Type.Optional(StringMatch),
    headers: Type.Optional(NamedMatches),
    withoutHeaders: Type.Optional(NamedMatches),
    queryParams: Type.Optional(NamedMatches),
    port: Type.Optional(Port),
    sourceLabels: Type.Optional(StringMap),
    sourceNamespace: Type.Optional(Type.String()),
    gateways: Type.Optional(Type.Array(Type.String())),
    ignoreUriCase: Type.Optional(Type.Boolean()),
  },
  closed,
);
export type HttpMatch = Static<typeof HttpMatch>;

export const HeaderOperations = Type.Object(
  {
    set: Type.Optional(StringMap),
    add: Type.Optional(StringMap),
    remove: Type.Optional(Type.Array(Type.String())),
  },
  closed,
);
export type HeaderOperations = Static<typeof HeaderOperations>;

export const Headers = Type.Object(
  { request: Type.Optional(HeaderOperations), response: Type.Optional(HeaderOperations) },
  closed,
);
export type Headers = Static<typeof Headers>;

export const HttpRouteDestination = Type.Object(
  {
    destination: Destination,
    weight: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000 })),
    headers: Type.Optional(Headers),
  },
  closed,
);
export type HttpRouteDestination = Static<typeof HttpRouteDestination>;

export const HttpRetry = Type.Object(
  {
    attempts: Type.Optional(Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1 })),
    perTryTimeout: Type.Optional(DurationText),
    retryOn: Type.Optional(Type.String()),
  },
  closed,
);
export type HttpRetry = Static<typeof HttpRetry>;

export const HttpRedirect = Type.Object(
  {
    uri: Type.Optional(Type.String()),
    authority: Type.Optional(Type.String()),
    port: Type.Optional(Port),
    scheme: Type.Optional(Type.String()),
    redirectCode: Type.Optional(Type.Union([301, 302, 303, 307, 308].map((code) => Type.Literal(code)))),
  },
  closed,
);
export type HttpRedirect = Static<typeof HttpRedirect>;

export const HttpRewrite = Type.Object(
  { uri: Type.Optional(Type.String()), authority: Type.Optional(Type.String()) },
  closed,
);
export type HttpRewrite = Static<typeof HttpRewrite>;

export const HttpRoute = Type.Object(
  {
    name: Type.Optional(Type.String()),
    match: Type.Optional(Type.Array(HttpMatch)),
    route: Type.Optional(Type.Array(HttpRouteDestination)),
    redirect: Type.Optional(HttpRedirect),
    rewrite: Type.Optional(HttpRewrite),
    timeout: Type.Optional(DurationText),
    retries: Type.Optional(HttpRetry),
    headers: Type.Optional(Headers),
  },
  closed,
);
export type HttpRoute = Static<typeof HttpRoute>;

export const VirtualServiceSpec = Type.Object(
  {
    hosts: Type.Array(HostText, { minItems: 1 }),
    gateways: Type.Optional(Type.Array(Type.String())),
    http: Type.Optional(Type.Array(HttpRoute)),
    exportTo: Type.Optional(Type.Array(Type.String())),
  },
  closed,
);

export interface VirtualService extends MeshObject {
  readonly kind: "VirtualService";
  readonly spec: Static<typeof VirtualServiceSpec>;
}
