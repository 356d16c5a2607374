import fc from "fast-check";
import {
  duration,
  exportTo,
  host,
  hostOrWildcard,
  istio,
  labels,
  name,
  namespace,
  pick,
  portNumber,
  record,
  some,
  something,
  span,
  text,
} from "./random-values.ts";

/** VirtualServices of everything that they can say. */

// What is refused as an object is tried elsewhere (hostile-objects.test.ts): here it would only thin meshes out.
const pattern = pick("a", "/a/.*", "[a-z]+", "(a)|b");
const stringMatch = fc.oneof(fc.record({ exact: text }), fc.record({ prefix: text }), fc.record({ regex: pattern }));
const namedMatches = fc.dictionary(pick("x-a", "X-B", ":path"), fc.oneof(stringMatch, fc.constant({})), { maxKeys: 2 });
const headerValues = fc.dictionary(pick("x-a", "X-B", "host", ":authority"), pick("", "1", "%REQ(x)%", "%%"), {
  maxKeys: 2,
});
const operations = record({ set: headerValues, add: headerValues, remove: some(pick("x-a", "host"), 1) });
const headers = record({ request: operations, response: operations });

const destination = fc.record(
  { host, subset: pick("v1", "v2"), port: fc.record({ number: portNumber }) },
  { requiredKeys: ["host"] },
);

const percent = fc.record({ value: pick(0, 0.001, 33.3, 100) });
const l4Match = {
  port: portNumber,
  sourceLabels: labels,
  sourceNamespace: namespace,
  gateways: some(pick("mesh", "a", "edge/b"), 2),
};
const subnets = some(pick("10.0.0.0/8", "10.96.0.1", "fd00::/8", "0.0.0.0/0"), 2);
const l4Destinations = fc.array(
  fc.record({ destination, weight: pick(1, 90) }, { requiredKeys: ["destination", "weight"] }),
  {
    minLength: 1,
    maxLength: 3,
  },
);
const tcpRoute = fc.record(
  { match: some(record({ ...l4Match, destinationSubnets: subnets }), 2), route: l4Destinations },
  { requiredKeys: ["route"] },
);
const sniHosts = fc.array(pick("x.example.com", "X.Example.com", "a.edge"), {
  minLength: 1,
  maxLength: 3,
});
const tlsRoute = fc.record({
  match: fc.array(fc.record({ ...l4Match, sniHosts, destinationSubnets: subnets }, { requiredKeys: ["sniHosts"] }), {
    minLength: 1,
    maxLength: 2,
  }),
  route: l4Destinations,
});

const httpRoute = fc
  .tuple(
    record({
      name: text,
      match: some(
        record({
          name: text,
          uri: stringMatch,
          method: stringMatch,
          authority: stringMatch,
          headers: namedMatches,
          withoutHeaders: namedMatches,
          queryParams: fc.dictionary(pick("q", "r"), stringMatch, { maxKeys: 1 }),
          ...l4Match,
          ignoreUriCase: fc.boolean(),
          statPrefix: text,
        }),
        2,
      ),
      timeout: duration,
      headers,
      fault: fc.oneof(
        fc.record({ delay: fc.record({ fixedDelay: span, percentage: percent }) }),
        fc.record({ abort: fc.record({ grpcStatus: pick("OK", "INTERNAL"), percentage: percent }) }),
      ),
      corsPolicy: record({
        allowOrigins: some(stringMatch, 2),
        allowMethods: some(pick("GET", "*"), 2),
        maxAge: pick("0s", "1h"),
        unmatchedPreflights: pick("FORWARD", "IGNORE"),
      }),
    }),
    fc.oneof(
      fc.record(
        {
          route: fc.array(
            fc.record(
              { destination, weight: pick(1, 90, 1_000_000), headers },
              { requiredKeys: ["destination", "weight"] },
            ),
            { minLength: 1, maxLength: 3 },
          ),
          retries: record({
            attempts: pick(1, 5),
            perTryTimeout: duration,
            retryOn: pick("", "5xx,503"),
            backoff: span,
            retryRemoteLocalities: fc.boolean(),
            retryIgnorePreviousHosts: fc.boolean(),
          }).map((retries) => ({ attempts: 2, ...retries })),
          rewrite: fc.oneof(
            fc.record({ uri: something, authority: text }),
            fc.record({ uriRegexRewrite: fc.record({ match: pattern, rewrite: pick("", "\\\\", "\\0", "\\1") }) }),
          ),
          mirror: destination,
          mirrorPercentage: percent,
        },
        { requiredKeys: ["route"] },
      ),
      fc.record({
        redirect: record({
          uri: text,
          authority: text,
          scheme: pick("http", "https"),
          redirectCode: pick(301, 308),
          derivePort: pick("FROM_REQUEST_PORT", "FROM_PROTOCOL_DEFAULT"),
        }).map((redirect) => ({ scheme: "https", ...redirect })),
      }),
      fc.record({ directResponse: fc.record({ status: pick(200, 404, 599), body: fc.record({ string: text }) }) }),
      fc.record({ delegate: fc.record({ name, namespace }) }),
    ),
  )
  .map(([common, action]) => ({ ...common, ...action }));

export const virtualService = istio(
  "networking",
  "VirtualService",
  fc.record(
    {
      hosts: fc.oneof(fc.constant(["a", "x.example.com"]), fc.array(hostOrWildcard, { maxLength: 3 })),
      gateways: some(pick("mesh", "a", "edge/b"), 2),
      exportTo,
      http: some(httpRoute),
      tcp: some(tcpRoute, 2),
      tls: some(tlsRoute, 2),
    },
    { requiredKeys: ["http"] },
  ),
);
