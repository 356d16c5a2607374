import type { KnownObject } from "../mesh/kinds.ts";
import type { MeshConfig } from "../mesh/mesh-config.ts";

/** Which proxies an object is for. */
export interface Audience {
  readonly namespaces: "all" | readonly string[];
  /** That the workload must have. */
  readonly labels: Labels;
}

type Labels = Readonly<Record<string, string>>;

/** The proxies that an object concerns, by where it is, whom it selects and where it is exported to. */
export function audienceOf(object: KnownObject, { rootNamespaces }: Pick<MeshConfig, "rootNamespaces">): Audience {
  const { namespace } = object.metadata;
  const workloads = (labels: Labels = {}): Audience => ({
    namespaces: rootNamespaces.includes(namespace) ? "all" : [namespace],
    labels,
  });
  switch (object.kind) {
    case "AuthorizationPolicy":
    case "PeerAuthentication":
    case "ProxyConfig":
      return workloads(object.spec.selector?.matchLabels);
    case "RateLimit":
      // Which workloads a Service has is not looked up here: all of its namespace may be.
      return (object.spec.targetRefs ?? []).length > 0
        ? { namespaces: [namespace], labels: {} }
        : workloads(object.spec.selector?.matchLabels);
    case "Gateway":
      return { namespaces: "all", labels: object.spec.selector ?? {} };
    case "Sidecar":
      return workloads(object.spec.workloadSelector?.labels);
    case "DestinationRule": {
      const labels = object.spec.workloadSelector?.matchLabels ?? {};
      // One that selects callers is for those of its own namespace.
      if (Object.keys(labels).length > 0) return { namespaces: [namespace], labels };
      return callers(object.spec.exportTo, namespace);
    }
    case "ServiceEntry":
    case "VirtualService":
      return callers(object.spec.exportTo, namespace);
    default:
      return { namespaces: "all", labels: {} };
  }
}

function callers(exportTo: readonly string[] = [], own: string): Audience {
  if (exportTo.length === 0 || exportTo.includes("*")) return { namespaces: "all", labels: {} };
  const names = exportTo.filter((name) => name !== "~").map((name) => (name === "." ? own : name));
  return { namespaces: [...new Set(names)], labels: {} };
}
