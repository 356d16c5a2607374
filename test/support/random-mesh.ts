import fc from "fast-check";
import type { KnownObject } from "../../src/mesh/kinds.ts";
import { compareText, refOf } from "../../src/mesh/object.ts";
import { parseObject } from "../../src/mesh/parse-object.ts";
import type { ProxyDescription } from "../../src/translate/translator.ts";
import { gatewaySpec } from "./random-gateway.ts";
import { rateLimitSpec } from "./random-rate-limit.ts";

/**
 * Small meshes of everything that objects can say. Names come from short lists, so that objects meet: they select each
 * other's pods, claim each other's hosts, and contradict each other.
 */

const pick = <T>(...values: readonly T[]) => fc.constantFrom(...values);
const some = <T>(arbitrary: fc.Arbitrary<T>, maxLength = 3) => fc.array(arbitrary, { maxLength });
const record = <T extends object>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record(fields, { requiredKeys: [] });

const namespace = pick("shop", "shop", "shop", "edge", "trysail-system");
const name = pick("a", "b", "c");
const host = pick("a", "B", "a.edge", "c.shop.svc.cluster.local", "x.example.com", "X.example.com");
const hostOrWildcard = fc.oneof(host, pick("*.shop.svc.cluster.local", "*.example.com", "*.com"));
const labels = record({ app: name, version: pick("v1", "v2"), "security.istio.io/tlsMode": pick("istio", "off") });
const exportTo = some(pick(".", "*", "shop", "edge", "~"), 2);
const portNumber = pick(80, 81, 8080, 15001, 15006);
const ip = pick("10.1.0.1", "10.1.0.2", "10.1.0.3", "fd00::1", "no-ip");

const metadata = (extra: object = {}) =>
  fc
    .record({ name, namespace, creationTimestamp: pick("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"), labels })
    .map((meta) => ({ ...meta, ...extra }));

const service = fc.record({
  apiVersion: fc.constant("v1"),
  kind: fc.constant("Service"),
  metadata: fc.tuple(metadata(), pick("*", ".", "shop", "")).map(([meta, annotation]) => ({
    ...meta,
    annotations: { "networking.istio.io/exportTo": annotation },
  })),
  spec: record({
    clusterIP: pick("None", "10.96.0.1", "10.96.0.2", "fd00::9"),
    selector: fc.oneof(fc.record({ app: pick("a", "b") }), fc.constant({})),
    publishNotReadyAddresses: fc.boolean(),
    ports: some(
      fc.record(
        {
          name: pick("http", "grpc-x", "tcp", "constructor"),
          port: portNumber,
          targetPort: fc.oneof(portNumber, pick("web", "constructor")),
          appProtocol: pick("http", "kubernetes.io/h2c", "mystery"),
        },
        { requiredKeys: ["port"] },
      ),
    ),
  }),
});

const pod = fc.record({
  apiVersion: fc.constant("v1"),
  kind: fc.constant("Pod"),
  metadata: metadata(),
  spec: record({
    serviceAccountName: pick("one", "two"),
    hostNetwork: fc.boolean(),
    containers: fc.constant([{ name: "app", ports: [{ name: "web", containerPort: 8080 }] }]),
  }).map((spec) => ({ containers: [], ...spec })),
  status: record({ podIP: ip }),
});

const endpointSlice = fc.record({
  apiVersion: fc.constant("discovery.k8s.io/v1"),
  kind: fc.constant("EndpointSlice"),
  metadata: fc
    .tuple(metadata(), name)
    .map(([meta, service]) => ({ ...meta, labels: { "kubernetes.io/service-name": service } })),
  addressType: pick("IPv4", "IPv4", "FQDN"),
  ports: some(
    fc.record({ name: pick("http", "grpc-x", "tcp", "constructor"), port: portNumber }, { requiredKeys: ["name"] }),
    4,
  ),
  endpoints: some(
    fc.record(
      {
        addresses: fc.array(ip, { minLength: 1, maxLength: 2 }),
        conditions: fc.oneof(
          fc.constant({}),
          record({ ready: fc.boolean(), serving: fc.boolean(), terminating: fc.boolean() }),
        ),
        targetRef: record({ kind: fc.constant("Pod"), namespace, name }),
      },
      { requiredKeys: ["addresses"] },
    ),
  ),
});

const text = pick("", "a", "/", "/a", "/a/.*", "[a-z]+", "jo", "(");
const something = pick("a", "/", "/a", "jo", "é");
// What is refused as an object is tried elsewhere (hostile-objects.test.ts): here it would only thin meshes out.
const pattern = pick("a", "/a/.*", "[a-z]+", "(a)|b");
const stringMatch = fc.oneof(fc.record({ exact: text }), fc.record({ prefix: text }), fc.record({ regex: pattern }));
const namedMatches = fc.dictionary(pick("x-a", "X-B", ":path"), fc.oneof(stringMatch, fc.constant({})), { maxKeys: 2 });
const headerValues = fc.dictionary(pick("x-a", "X-B", "host", ":authority"), pick("", "1", "%REQ(x)%", "%%"), {
  maxKeys: 2,
});
const operations = record({ set: headerValues, add: headerValues, remove: some(pick("x-a", "host"), 1) });
const headers = record({ request: operations, response: operations });
const duration = pick("0s", "1ns", "1.5s", "250ms", "1h", "2000000h");
const span = pick("1ns", "1.5s", "250ms", "1h", "2000000h");
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

const istio = (group: string, kind: string, spec: fc.Arbitrary<object>) =>
  fc.record({
    apiVersion: fc.constant(`${group}.istio.io/v1`),
    kind: fc.constant(kind),
    metadata: metadata(),
    spec,
  });

const virtualService = istio(
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

const count = pick(0, 1, 2 ** 31 - 1);
const policyFields = {
  tls: fc.oneof(
    fc.constant({ mode: "SIMPLE", insecureSkipVerify: true }),
    record({
      mode: pick("DISABLE", "SIMPLE", "ISTIO_MUTUAL"),
      sni: pick("", "x.example.com"),
      subjectAltNames: some(pick("x.example.com", "spiffe://a/b", "10.0.0.1"), 2),
    }),
  ),
  loadBalancer: fc.oneof(
    record({
      simple: pick("RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST", "LEAST_CONN", "UNSPECIFIED"),
      warmup: fc.record({ duration: span, minimumPercent: pick(0, 10, 100), aggression: pick(1, 1.5) }),
    }),
    fc.record({
      consistentHash: fc
        .tuple(
          fc.oneof(
            fc.record({ httpHeaderName: pick("x-a", ":path") }),
            fc.record({ httpQueryParameterName: something }),
            fc.constant({ useSourceIp: true }),
            fc.record({ httpCookie: fc.record({ name: something, path: text, ttl: duration }) }),
          ),
          fc.oneof(
            fc.record({ maglev: record({ tableSize: pick(0, 7, 251) }) }),
            fc.record({ ringHash: record({ minimumRingSize: pick(0, 1, 5000) }) }),
            fc.constant({}),
          ),
        )
        .map(([key, algorithm]) => ({ ...key, ...algorithm })),
    }),
  ),
  connectionPool: fc.record({
    tcp: record({
      maxConnections: count,
      connectTimeout: span,
      idleTimeout: duration,
      maxConnectionDuration: duration,
      tcpKeepalive: record({ probes: count, time: span, interval: span }),
    }),
    http: record({
      http1MaxPendingRequests: count,
      http2MaxRequests: count,
      maxRequestsPerConnection: count,
      maxRetries: count,
      maxConcurrentStreams: count,
      idleTimeout: duration,
      h2UpgradePolicy: pick("DEFAULT", "DO_NOT_UPGRADE"),
      useClientProtocol: fc.boolean(),
    }),
  }),
  outlierDetection: record({
    consecutive5xxErrors: count,
    consecutiveGatewayErrors: count,
    splitExternalLocalOriginErrors: fc.boolean(),
    consecutiveLocalOriginFailures: count,
    interval: span,
    baseEjectionTime: span,
    maxEjectionPercent: pick(0, 100),
    minHealthPercent: pick(0, 50),
  }),
};
const trafficPolicy = record({
  ...policyFields,
  portLevelSettings: some(
    fc.tuple(portNumber, record(policyFields)).map(([number, settings]) => ({ port: { number }, ...settings })),
    2,
  ),
  tunnel: record({ protocol: pick("CONNECT", "POST"), targetHost: pick("a.test", "fd00::1"), targetPort: portNumber }),
  proxyProtocol: record({ version: pick("V1", "V2") }),
  retryBudget: record({ percent: pick(0, 20.5, 100), minRetryConcurrency: count }),
});
const destinationRule = istio(
  "networking",
  "DestinationRule",
  fc.record(
    {
      host: hostOrWildcard,
      trafficPolicy,
      exportTo,
      workloadSelector: record({ matchLabels: record({ app: name }) }),
      subsets: some(fc.record({ name: pick("v1", "v2"), labels, trafficPolicy }, { requiredKeys: ["name"] })),
    },
    { requiredKeys: ["host"] },
  ),
);

const selector = record({ matchLabels: record({ app: name }) });
const mode = record({ mode: pick("UNSET", "DISABLE", "PERMISSIVE", "STRICT") });
const peerAuthentication = istio(
  "security",
  "PeerAuthentication",
  record({ selector, mtls: mode, portLevelMtls: fc.dictionary(portNumber.map(String), mode, { maxKeys: 2 }) }),
);

const patterns = some(pick("*", "a*", "*a", "cluster.local/ns/shop/sa/one", "/a", "GET", "x.example.com"), 2);
const blocks = some(pick("10.0.0.0/8", "10.1.0.1", "::/0"), 2);
const ports = some(portNumber.map(String), 2);
const rule = record({
  from: some(
    fc.record({
      source: record({
        principals: patterns,
        notPrincipals: patterns,
        requestPrincipals: patterns,
        notRequestPrincipals: patterns,
        namespaces: patterns,
        notNamespaces: patterns,
        ipBlocks: blocks,
        notIpBlocks: blocks,
        remoteIpBlocks: blocks,
      }),
    }),
    2,
  ),
  to: some(
    fc.record({
      operation: record({
        hosts: patterns,
        methods: patterns,
        paths: patterns,
        notPaths: patterns,
        ports,
        notPorts: ports,
      }),
    }),
    2,
  ),
  when: some(
    fc.record({
      key: pick("request.headers[x-a]", "source.ip", "source.principal", "destination.port", "connection.sni", "odd"),
      values: some(pick("*", "a", "10.0.0.0/8", "80"), 2),
      notValues: patterns,
    }),
    2,
  ),
});
const authorizationPolicy = istio(
  "security",
  "AuthorizationPolicy",
  record({ selector, action: pick("ALLOW", "DENY"), rules: some(rule) }),
);

const rateLimit = fc.record({
  apiVersion: fc.constant("trysail.dev/v1alpha1"),
  kind: fc.constant("RateLimit"),
  metadata: metadata(),
  spec: rateLimitSpec,
});

// No mistakes in it: what cannot be read stays as it was, so the mesh would depend on what came before.
const configMap = fc.record({
  apiVersion: fc.constant("v1"),
  kind: fc.constant("ConfigMap"),
  metadata: fc.constant({ name: "istio", namespace: "trysail-system" }),
  data: fc.record({
    mesh: pick("", "enableAutoMtls: false", "outboundTrafficPolicy: { mode: REGISTRY_ONLY }", "rootNamespace: edge"),
  }),
});

const workload = fc.record(
  {
    address: pick("10.1.0.1", "10.3.0.1", "fd00::3", "vm.example.com", "unix:///run/a"),
    labels,
    locality: pick("east/one/a", "east", "west/two"),
    network: pick("n1", "n2"),
    weight: pick(0, 1, 7),
    serviceAccount: pick("one", ""),
  },
  { requiredKeys: ["address"] },
);
const serviceEntry = istio(
  "networking",
  "ServiceEntry",
  fc.record(
    {
      hosts: fc.array(pick("x.example.com", "y.example.com", "*.example.com", "a.shop.svc.cluster.local"), {
        minLength: 1,
        maxLength: 2,
      }),
      addresses: some(pick("10.96.0.1", "10.9.0.0/16", "10.9.1.1/16", "fd00::/64", "fd00::9"), 2),
      ports: some(
        fc.record(
          {
            number: portNumber,
            name: pick("http", "tcp", "tls", "odd"),
            protocol: pick("HTTP", "TCP", "TLS", "GRPC", ""),
          },
          { requiredKeys: ["number", "name"] },
        ),
      ),
      location: pick("MESH_INTERNAL", "MESH_EXTERNAL"),
      resolution: pick("NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"),
      endpoints: some(workload, 2),
      exportTo,
      subjectAltNames: some(pick("spiffe://a/b", "x.example.com"), 1),
    },
    { requiredKeys: ["hosts"] },
  ),
);
const selectingEntry = istio(
  "networking",
  "ServiceEntry",
  fc.record({
    hosts: fc.constant(["vms.example.com"]),
    ports: fc.constant([{ number: 81, name: "odd" }]),
    resolution: pick("STATIC", "DNS"),
    workloadSelector: fc.record({ labels: fc.record({ app: name }) }),
  }),
);
const workloadEntry = istio("networking", "WorkloadEntry", workload);
const egressHosts = fc.array(pick("./*", "*/*", "edge/*", "*/x.example.com", "~/*"), { minLength: 1, maxLength: 2 });
const sidecar = istio(
  "networking",
  "Sidecar",
  record({
    workloadSelector: fc.record({ labels: fc.record({ app: name }) }),
    egress: fc
      .tuple(
        some(
          fc.record(
            {
              port: fc.record({ number: portNumber }),
              bind: pick("127.0.0.1", "0.0.0.0", "unix:///run/out"),
              captureMode: pick("NONE", "IPTABLES", "DEFAULT"),
              hosts: egressHosts,
            },
            { requiredKeys: ["port", "hosts"] },
          ),
          2,
        ),
        some(fc.record({ hosts: egressHosts }), 1),
      )
      .map(([ports, wide]) => [...ports, ...wide]),
    ingress: some(
      fc.record(
        {
          port: fc.record({ number: pick(8080, 9090), protocol: pick("HTTP", "TCP", "TLS", "") }),
          captureMode: pick("NONE", "DEFAULT"),
          defaultEndpoint: pick("127.0.0.1:8080", "0.0.0.0:8080", "unix:///run/in", "[::1]:8080"),
        },
        { requiredKeys: ["port"] },
      ),
      2,
    ),
    outboundTrafficPolicy: record({ mode: pick("ALLOW_ANY", "REGISTRY_ONLY") }),
  }),
);

const gateway = istio("networking", "Gateway", gatewaySpec);

const anyObject = fc.oneof(
  { arbitrary: gateway, weight: 3 },
  { arbitrary: serviceEntry, weight: 5 },
  { arbitrary: selectingEntry, weight: 1 },
  { arbitrary: workloadEntry, weight: 1 },
  { arbitrary: sidecar, weight: 1 },
  { arbitrary: service, weight: 4 },
  { arbitrary: pod, weight: 4 },
  { arbitrary: endpointSlice, weight: 4 },
  { arbitrary: virtualService, weight: 6 },
  { arbitrary: destinationRule, weight: 4 },
  { arbitrary: peerAuthentication, weight: 2 },
  { arbitrary: authorizationPolicy, weight: 3 },
  { arbitrary: rateLimit, weight: 3 },
  { arbitrary: configMap, weight: 1 },
);

/** An object, or none where what was made up is refused. */
const knownObject: fc.Arbitrary<readonly KnownObject[]> = anyObject.map((document) => {
  const { object } = parseObject(structuredClone(document));
  return object === undefined ? [] : [object];
});

/** Objects of a mesh, one of each kind and name, sorted as a source has them. */
export const meshObjects: fc.Arbitrary<readonly KnownObject[]> = fc
  .array(knownObject, { minLength: 20, maxLength: 60 })
  .map((lists) => withObjects([], lists.flat()));

/** One change of a mesh: objects that are new or say something else, and how many of the old ones go. */
export const meshChange = fc.record({
  put: fc.array(knownObject, { maxLength: 2 }).map((lists) => lists.flat()),
  removeEvery: fc.integer({ min: 2, max: 12 }),
});

/** `objects` with others put in, which replace those of the same name; sorted as a source has them. */
export function withObjects(objects: readonly KnownObject[], put: readonly KnownObject[]): readonly KnownObject[] {
  const byKey = new Map([...objects, ...put].map((object) => [keyOf(object), object]));
  return [...byKey].sort(([a], [b]) => compareText(a, b)).map(([, object]) => object);
}

function keyOf(object: KnownObject): string {
  const { kind, namespace, name } = refOf(object);
  return `${kind} ${namespace} ${name}`;
}

/** Two proxies and a gateway to ask for: of pods that a mesh may know or not. */
export const proxies: readonly ProxyDescription[] = [
  {
    name: "a",
    namespace: "shop",
    ipAddress: "10.1.0.1",
    labels: { app: "a" },
    metadata: { DNS_CAPTURE: "true", INSTANCE_IPS: "10.1.0.1,fd00::1" },
  },
  { name: "b", namespace: "edge", ipAddress: "10.1.0.2", labels: { app: "b", version: "v1" } },
  { name: "c", namespace: "edge", ipAddress: "10.1.0.3", labels: { app: "c" }, type: "router" },
];
