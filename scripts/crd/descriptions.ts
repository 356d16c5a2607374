/**
 * What `kubectl explain` says about fields of the kinds' specs, by their paths, which go through lists and maps: of every
 * field of the first level, and of those below that are used most. It stands apart from the schemas, which the program
 * holds in memory. docs/traffic.md and docs/gateways.md tell the rest.
 */

type Descriptions = Readonly<Record<string, string>>;

const WORKLOAD: Descriptions = {
  address: "Where it listens: an IP address, a host name, or unix:///path of a socket.",
  ports: "The number of each of the service's ports, by the port's name; those left out are as the service says.",
  labels: "What services and policies select it by.",
  network: "The network that its address is of; from other networks it is reached through a gateway.",
  locality: "Where it runs, as region/zone/subzone.",
  weight: "Its share of the requests, beside that of the others.",
  serviceAccount: "The account whose identity it proves, in its own namespace.",
};

const SELECTOR =
  "The workloads that it is for, in its namespace; all of them without it, and of the mesh in the root namespace.";
const EXPORT_TO = "The namespaces that see it: names, . for its own, * for all, which is what counts without it.";

const CONNECTION_POOL = {
  tcp: "Of connections: how many, how long one takes to open, and how long it may live.",
  http: "Of requests: how many at a time and in wait, how many a connection carries, and in which version of HTTP.",
};

const HTTP_MATCH: Descriptions = {
  uri: "The path of the request, by exact, prefix or regex.",
  method: "The method, by exact, prefix or regex.",
  authority: "The host that is asked for.",
  scheme: "http or https.",
  headers: "Headers by name, in small letters; one with nothing said of it must be there.",
  withoutHeaders: "Headers that must not be so.",
  queryParams: "Parameters of the query by name.",
  port: "The port that is asked.",
  gateways: "The gateways where the condition can hold; those of the VirtualService without it.",
  sourceLabels: "Labels of the caller.",
  sourceNamespace: "The namespace of the caller.",
  ignoreUriCase: "Whether capitals and small letters of the path are the same.",
  name: "A name for it, in statistics.",
  statPrefix: "What statistics of the route are counted under.",
};

const under = (path: string, fields: Descriptions): Descriptions =>
  Object.fromEntries(Object.entries(fields).map(([name, text]) => [`${path}.${name}`, text]));

/** By kind, then by path inside of the spec. */
export const DESCRIPTIONS: Readonly<Record<string, Descriptions>> = {
  AuthorizationPolicy: {
    selector: SELECTOR,
    action:
      "What happens to a request that a rule matches: ALLOW (the default; with such a policy all else is refused) or DENY.",
    rules: "A request that any of them matches is meant; without rules none is, and an empty rule matches all.",
    "rules.from": "Who asks: any of these.",
    "rules.from.source": "All that is said here holds of the caller; each list is any of its items.",
    "rules.to": "What is asked for: any of these.",
    "rules.to.operation": "All that is said here holds of the request; each list is any of its items.",
    "rules.when": "Further conditions, all of which must hold.",
  },
  DestinationRule: {
    host: "The service that it is about: a name, short ones of its own namespace, or a wildcard.",
    trafficPolicy: "How its endpoints are called, of every port and subset that says nothing else.",
    ...under("trafficPolicy", {
      loadBalancer: "Which endpoint gets a request: simple, consistentHash, and how localities share.",
      connectionPool: "How many connections and requests each caller's proxy makes at most.",
      outlierDetection: "When an endpoint that fails gets no requests for a while.",
      tls: "How connections are encrypted; without it by the mesh's mutual TLS where the endpoint takes that.",
      portLevelSettings: "The same for single ports, in place of what is said for all.",
      tunnel: "Connections go through this proxy by HTTP CONNECT or POST.",
      proxyProtocol: "Tells the endpoint who calls, in a PROXY protocol header.",
      retryBudget: "Which share of the requests may be tries of ones that failed.",
    }),
    ...under("trafficPolicy.connectionPool", CONNECTION_POOL),
    subsets: "Parts of the service, by labels of its endpoints, that routes name.",
    "subsets.name": "What routes call it.",
    "subsets.labels": "Labels that an endpoint of it has.",
    "subsets.trafficPolicy": "What is otherwise for it than for the whole service.",
    exportTo: EXPORT_TO,
    workloadSelector: "The callers that go by it, in its namespace; all of those who see it without it.",
  },
  Gateway: {
    selector: "Labels of the proxies that listen, in every namespace.",
    servers: "Where they listen, and for which hosts.",
    "servers.port": "The port, and the protocol that is spoken there.",
    "servers.hosts": "Hosts that may be asked for, which VirtualServices route: HOST or NAMESPACE/HOST, also *.",
    "servers.tls": "How TLS ends here, or that it is passed on.",
    "servers.tls.mode": "SIMPLE, MUTUAL, PASSTHROUGH, AUTO_PASSTHROUGH, ISTIO_MUTUAL or OPTIONAL_MUTUAL.",
    "servers.tls.credentialName": "The Secret with the certificate and key, in the namespace of the proxies.",
    "servers.tls.httpsRedirect": "Requests without TLS are sent to https.",
    "servers.bind": "The address to listen on; all of the pod's without it.",
    "servers.name": "A name for it.",
  },
  PeerAuthentication: {
    selector: SELECTOR,
    mtls: "Which connections are taken.",
    "mtls.mode": "STRICT: mutual TLS alone. PERMISSIVE: plaintext too. DISABLE: plaintext. UNSET: as is said for more.",
    portLevelMtls: "The same for single ports of the workload, by number.",
  },
  ProxyConfig: {
    selector: SELECTOR,
    concurrency: "The proxy's worker threads; 0 is one for each CPU.",
    environmentVariables: "What is added to the proxy's environment, such as ISTIO_META_DNS_CAPTURE.",
    image: "Which image of the proxy.",
    "image.imageType": "Its type, which ends the tag: default, debug, distroless.",
  },
  RateLimit: {
    selector: SELECTOR,
    targetRefs: "Services of its namespace whose workloads it is for, in place of a selector.",
    requests: "Limits of HTTP requests; one that any of them has no room for is answered by 429.",
    "requests.name": "What it is called in statistics and at the service that counts.",
    "requests.scope": "Who counts: each proxy, each connection, or one service for all of the proxies.",
    "requests.rate": "How many, and in which time.",
    "requests.match": "The requests that count; all without it.",
    "requests.by": "What is counted apart: each value of these has a limit of its own.",
    "requests.ports": "The ports that it is for.",
    "requests.shadow": "Counts, and refuses nothing.",
    connections: "Limits of new connections; what is beyond them is closed.",
    exceeded: "How a request beyond a limit is answered.",
    showLimits: "Whether answers tell how much is left, in headers.",
    service: "Who counts what all proxies share, and what happens while nobody answers.",
  },
  ServiceEntry: {
    hosts: "Its names, also with a wildcard in front.",
    addresses: "Its own addresses, or blocks of them; without any it is found by name.",
    ports: "Where it listens, and the protocol there.",
    "ports.number": "The port that callers ask for.",
    "ports.protocol": "HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, TLS, TCP, MONGO and the like.",
    "ports.name": "What it is called; one for each.",
    "ports.targetPort": "The port of the endpoints, where it is another one.",
    location: "MESH_EXTERNAL, the default: outside of the mesh. MESH_INTERNAL: a part of it, with its mutual TLS.",
    resolution:
      "How its endpoints are found: NONE (where the caller dialled), STATIC (those below), DNS, DNS_ROUND_ROBIN or DYNAMIC_DNS.",
    endpoints: "Where it runs.",
    ...under("endpoints", WORKLOAD),
    workloadSelector: "The pods and WorkloadEntries of its namespace that are its endpoints, in place of endpoints.",
    exportTo: EXPORT_TO,
    subjectAltNames: "Names that a certificate of it must have one of.",
  },
  Sidecar: {
    workloadSelector:
      "The workloads whose proxies go by it, in its namespace; those that no other one selects without it.",
    egress: "What the application may reach; with none of these all that its namespace sees.",
    "egress.port": "Where the application dials; all ports that no other one names without it.",
    "egress.bind": "The address that it dials, or unix:///path of a socket.",
    "egress.captureMode": "NONE: the proxy listens there, and nothing is redirected to it.",
    "egress.hosts": "NAMESPACE/HOST of what is reached; * is all, . its own namespace, ~ none.",
    ingress: "What the proxy takes for the application, in place of what Services say.",
    "ingress.port": "The port that callers ask for.",
    "ingress.bind": "The address to listen on.",
    "ingress.captureMode": "NONE: the proxy listens there, and nothing is redirected to it.",
    "ingress.defaultEndpoint":
      "Where the application listens: 127.0.0.1:PORT, 0.0.0.0:PORT for the pod's own address, or unix:///path.",
    "ingress.connectionPool": "How many connections and requests the application gets.",
    inboundConnectionPool: "The same for each port that says nothing.",
    ...under("inboundConnectionPool", CONNECTION_POOL),
    outboundTrafficPolicy: "What happens to traffic for hosts that the mesh does not know.",
    "outboundTrafficPolicy.mode": "ALLOW_ANY: it is passed on. REGISTRY_ONLY: it is refused.",
    "outboundTrafficPolicy.egressProxy": "The service that all of it goes through.",
  },
  VirtualService: {
    hosts:
      "The hosts whose traffic is routed: names, short ones of its own namespace, addresses, or with a wildcard in front.",
    gateways: "Where the routes hold: NAMESPACE/NAME of Gateways, and mesh for all sidecars, which counts without it.",
    http: "Routes of HTTP requests: the first one that matches counts.",
    ...under("http", {
      name: "A name for it, in logs and statistics.",
      match: "When it is taken: where any of these holds; always without it.",
      route: "Where requests go; of several each has a share by its weight.",
      redirect: "Answers with a redirect in place of a route.",
      directResponse: "Answers by itself in place of a route.",
      delegate: "Another VirtualService, without hosts, whose routes stand here.",
      rewrite: "What becomes of path and host before the request goes on.",
      timeout: "How long an answer may take with all tries; without end without it.",
      retries: "How often, and when, a request that failed is tried again.",
      fault: "Delays or refuses a share of the requests, to test who asks.",
      mirror: "Where a copy of each request goes, whose answer nobody waits for.",
      mirrors: "Several of these, each with its share.",
      mirrorPercentage: "The share of the requests that is copied.",
      mirrorPercent: "The same as a whole number; mirrorPercentage goes before it.",
      corsPolicy: "Which pages of other origins may ask.",
      headers: "What is set, added and removed in request and response.",
    }),
    ...under("http.match", HTTP_MATCH),
    ...under("http.route", {
      destination: "The service, and perhaps subset and port.",
      weight: "Its share, beside that of the others; all of them without it where it is the only one.",
      headers: "What is set, added and removed for it alone.",
    }),
    ...under("http.route.destination", {
      host: "The service: a name, short ones of the VirtualService's own namespace.",
      subset: "A subset that a DestinationRule for the service names.",
      port: "Which of its ports; needed where it has several.",
    }),
    ...under("http.retries", {
      attempts: "How often it is tried again at most; 0 for not at all.",
      perTryTimeout: "How long each try may take.",
      retryOn: "When it is tried again, such as 5xx,reset,connect-failure,503.",
      backoff: "How long the first pause is.",
    }),
    ...under("http.fault", {
      delay: "Which share waits, and how long.",
      abort: "Which share is answered by which error.",
    }),
    tls: "Routes of TLS that is passed on, by the name that the caller asks for.",
    "tls.match": "When it is taken; sniHosts is needed.",
    "tls.route": "Where connections go.",
    tcp: "Routes of connections.",
    "tcp.match": "When it is taken: where any of these holds; always without it.",
    "tcp.route": "Where connections go.",
    exportTo: EXPORT_TO,
  },
  WorkloadEntry: WORKLOAD,
  WorkloadGroup: {
    metadata: "Labels and annotations that its WorkloadEntries have.",
    template: "What its WorkloadEntries say.",
    ...under("template", WORKLOAD),
    probe: "How it is told that a workload takes requests.",
  },
};
