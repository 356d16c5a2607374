import { type Static, Type } from "typebox";
import { Count, closed, Destination, DurationText, Percent, StringMatch } from "./fields.ts";

/** What a VirtualService's HTTP route does to requests besides sending them on. */

const WholePercent = Type.Integer({ minimum: 0, maximum: 100 });

/** `percent` is the older way to write `percentage`; without either, no request is meant. */
const Share = { percentage: Type.Optional(Percent), percent: Type.Optional(WholePercent) };

/** https://istio.io/latest/docs/reference/config/networking/virtual-service/#HTTPFaultInjection */
export const HttpFaultInjection = Type.Object(
  {
    delay: Type.Optional(Type.Object({ fixedDelay: DurationText, ...Share }, closed)),
    abort: Type.Optional(
      Type.Object(
        {
          httpStatus: Type.Optional(Type.Integer({ minimum: 200, maximum: 599 })),
          grpcStatus: Type.Optional(Type.String()),
          percentage: Type.Optional(Percent),
        },
        closed,
      ),
    ),
  },
  closed,
);
export type HttpFaultInjection = Static<typeof HttpFaultInjection>;

export const HttpMirror = Type.Object({ destination: Destination, percentage: Type.Optional(Percent) }, closed);

/** How much of the requests a route's `mirror` gets: all of them where nothing is said. */
export const HttpMirrorPercentage = {
  mirrorPercentage: Type.Optional(Percent),
  mirrorPercent: Type.Optional(WholePercent),
};

/** https://istio.io/latest/docs/reference/config/networking/virtual-service/#CorsPolicy */
export const CorsPolicy = Type.Object(
  {
    allowOrigins: Type.Optional(Type.Array(StringMatch)),
    /** The older way to write exact `allowOrigins`. */
    allowOrigin: Type.Optional(Type.Array(Type.String())),
    allowMethods: Type.Optional(Type.Array(Type.String())),
    allowHeaders: Type.Optional(Type.Array(Type.String())),
    exposeHeaders: Type.Optional(Type.Array(Type.String())),
    maxAge: Type.Optional(DurationText),
    allowCredentials: Type.Optional(Type.Boolean()),
    unmatchedPreflights: Type.Optional(
      Type.Union([Type.Literal("UNSPECIFIED"), Type.Literal("FORWARD"), Type.Literal("IGNORE")]),
    ),
  },
  closed,
);
export type CorsPolicy = Static<typeof CorsPolicy>;

/** https://istio.io/latest/docs/reference/config/networking/virtual-service/#HTTPRetry */
export const HttpRetry = Type.Object(
  {
    attempts: Type.Optional(Count),
    perTryTimeout: Type.Optional(DurationText),
    retryOn: Type.Optional(Type.String()),
    retryRemoteLocalities: Type.Optional(Type.Boolean()),
    retryIgnorePreviousHosts: Type.Optional(Type.Boolean()),
    backoff: Type.Optional(DurationText),
  },
  closed,
);
export type HttpRetry = Static<typeof HttpRetry>;
