import { type Static, Type } from "typebox";
import { closed, Destination, DurationText, PortNumber, StringMap, StringMatch, Weight } from "./fields.ts";
import { CorsPolicy, HttpFaultInjection, HttpMirror, HttpMirrorPercentage, HttpRetry } from "./http-policies.ts";

/** https://istio.io/latest/docs/reference/config/networking/virtual-service/#HTTPRoute */

/** `{}` asks only that it is there. */
const TextMatch = Type.Union([StringMatch, Type.Object({}, closed)]);

/** Header and parameter matches by name. */
const NamedMatches = Type.Record(Type.String(), TextMatch, closed);

export const HttpMatch = Type.Object(
  {
    name: Type.Optional(Type.String()),
    uri: Type.Optional(TextMatch),
    scheme: Type.Optional(TextMatch),
    method: Type.Optional(TextMatch),
    authority: Type.Optional(TextMatch),
    headers: Type.Optional(NamedMatches),
    withoutHeaders: Type.Optional(NamedMatches),
    queryParams: Type.Optional(NamedMatches),
    port: Type.Optional(PortNumber),
    sourceLabels: Type.Optional(StringMap),
    sourceNamespace: Type.Optional(Type.String()),
    gateways: Type.Optional(Type.Array(Type.String())),
    ignoreUriCase: Type.Optional(Type.Boolean()),
    statPrefix: Type.Optional(Type.String()),
  },
  closed,
);
export type HttpMatch = Static<typeof HttpMatch>;

const HeaderOperations = Type.Object(
  {
    set: Type.Optional(StringMap),
    add: Type.Optional(StringMap),
    remove: Type.Optional(Type.Array(Type.String())),
  },
  closed,
);
export type HeaderOperations = Static<typeof HeaderOperations>;

const Headers = Type.Object(
  { request: Type.Optional(HeaderOperations), response: Type.Optional(HeaderOperations) },
  closed,
);

const HttpRouteDestination = Type.Object(
  { destination: Destination, weight: Type.Optional(Weight), headers: Type.Optional(Headers) },
  closed,
);
export type HttpRouteDestination = Static<typeof HttpRouteDestination>;

export const HttpRedirect = Type.Object(
  {
    uri: Type.Optional(Type.String()),
    prefixRewrite: Type.Optional(Type.String()),
    authority: Type.Optional(Type.String()),
    port: Type.Optional(PortNumber),
    derivePort: Type.Optional(Type.Union([Type.Literal("FROM_PROTOCOL_DEFAULT"), Type.Literal("FROM_REQUEST_PORT")])),
    scheme: Type.Optional(Type.String()),
    redirectCode: Type.Optional(Type.Union([301, 302, 303, 307, 308].map((code) => Type.Literal(code)))),
  },
  closed,
);
export type HttpRedirect = Static<typeof HttpRedirect>;

const HttpDirectResponse = Type.Object(
  {
    // What Envoy takes: no informational ones.
    status: Type.Integer({ minimum: 200, maximum: 599 }),
    body: Type.Optional(
      Type.Union([
        Type.Object({ string: Type.String() }, closed),
        Type.Object({ bytes: Type.String({ pattern: "^[A-Za-z0-9+/]*={0,2}$", description: "base64 text" }) }, closed),
      ]),
    ),
  },
  closed,
);
export type HttpDirectResponse = Static<typeof HttpDirectResponse>;

const HttpRewrite = Type.Object(
  {
    uri: Type.Optional(Type.String()),
    authority: Type.Optional(Type.String()),
    uriRegexRewrite: Type.Optional(
      Type.Object({ match: Type.String({ maxLength: 1024 }), rewrite: Type.Optional(Type.String()) }, closed),
    ),
  },
  closed,
);
export type HttpRewrite = Static<typeof HttpRewrite>;

/** Another VirtualService, one without hosts, whose routes stand in the place of this one. */
const Delegate = Type.Object({ name: Type.Optional(Type.String()), namespace: Type.Optional(Type.String()) }, closed);

export const HttpRoute = Type.Object(
  {
    name: Type.Optional(Type.String()),
    match: Type.Optional(Type.Array(HttpMatch)),
    route: Type.Optional(Type.Array(HttpRouteDestination)),
    redirect: Type.Optional(HttpRedirect),
    directResponse: Type.Optional(HttpDirectResponse),
    delegate: Type.Optional(Delegate),
    rewrite: Type.Optional(HttpRewrite),
    timeout: Type.Optional(DurationText),
    retries: Type.Optional(HttpRetry),
    fault: Type.Optional(HttpFaultInjection),
    mirror: Type.Optional(Destination),
    mirrors: Type.Optional(Type.Array(HttpMirror)),
    ...HttpMirrorPercentage,
    corsPolicy: Type.Optional(CorsPolicy),
    headers: Type.Optional(Headers),
  },
  closed,
);
export type HttpRoute = Static<typeof HttpRoute>;
