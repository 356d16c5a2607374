import fc from "fast-check";
import { ip, metadata, name, namespace, pick, portNumber, record, some } from "./random-values.ts";

/** Services, pods and endpoints of random meshes. */

export const service = fc.record({
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

export const pod = fc.record({
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

export const endpointSlice = fc.record({
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
