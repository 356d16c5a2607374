import fc from "fast-check";
import type { KnownObject } from "../../src/mesh/kinds.ts";
import { compareText, refOf } from "../../src/mesh/object.ts";
import { parseObject } from "../../src/mesh/parse-object.ts";
import type { ProxyDescription } from "../../src/translate/translator.ts";
import { destinationRule } from "./random-destination-rule.ts";
import { gatewaySpec } from "./random-gateway.ts";
import { endpointSlice, pod, service } from "./random-kubernetes.ts";
import { rateLimitSpec } from "./random-rate-limit.ts";
import { authorizationPolicy, peerAuthentication } from "./random-security.ts";
import { selectingEntry, serviceEntry, workloadEntry } from "./random-service-entry.ts";
import { istio, metadata, name, pick, portNumber, record, some } from "./random-values.ts";
import { virtualService } from "./random-virtual-service.ts";

/**
 * Small meshes of everything that objects can say. Names come from short lists, so that objects meet: they select each
 * other's pods, claim each other's hosts, and contradict each other.
 */

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
    mesh: pick(
      "",
      "enableAutoMtls: false",
      "outboundTrafficPolicy: { mode: REGISTRY_ONLY }",
      "rootNamespace: edge",
      "localityLbSetting: { distribute: [{ from: east/*, to: { west/*: 100 } }] }",
    ),
  }),
});

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
