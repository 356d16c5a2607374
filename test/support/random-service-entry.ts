import fc from "fast-check";
import { exportTo, istio, labels, name, pick, portNumber, some } from "./random-values.ts";

/** ServiceEntries and WorkloadEntries of everything that they can say. */

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
export const serviceEntry = istio(
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
export const selectingEntry = istio(
  "networking",
  "ServiceEntry",
  fc.record({
    hosts: fc.constant(["vms.example.com"]),
    ports: fc.constant([{ number: 81, name: "odd" }]),
    resolution: pick("STATIC", "DNS"),
    workloadSelector: fc.record({ labels: fc.record({ app: name }) }),
  }),
);
export const workloadEntry = istio("networking", "WorkloadEntry", workload);
