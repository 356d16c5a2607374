import type { BootstrapInput } from "../../src/init/bootstrap.ts";

type Parts = Omit<Partial<BootstrapInput>, "node"> & { ipAddress?: string; interceptionMode?: string };

/**
 * The bootstrap's input for the pod `web-0.shop`, of a control plane that is not there: for what an Envoy does by its
 * bootstrap alone. Ports are any free ones.
 */
export function bootstrapInput({ ipAddress = "127.0.0.1", interceptionMode, ...parts }: Parts = {}): BootstrapInput {
  return {
    node: {
      name: "web-0",
      namespace: "shop",
      ipAddress,
      serviceAccount: "web",
      labels: {},
      annotations: {},
      metadata: interceptionMode === undefined ? {} : { INTERCEPTION_MODE: interceptionMode },
      domainSuffix: "cluster.local",
    },
    discovery: { address: "localhost:1", tokenFile: "/nowhere", rootCertFile: "/nowhere" },
    probers: {},
    ports: { admin: 0, status: 0, metrics: 0, mergedMetrics: 0 },
    ...parts,
  };
}
