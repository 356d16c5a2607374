import type { Finding } from "../mesh/finding.ts";
import type { AckObserver } from "../xds/config-source.ts";

/** What is wrong with the mesh now: what its source and snapshot say, and what proxies refused. */
export interface MeshFindings extends AckObserver {
  /** Replaces what came from the configuration itself. */
  setConfigured(findings: readonly Finding[]): void;
  all(): readonly Finding[];
}

export function createMeshFindings(): MeshFindings {
  let configured: readonly Finding[] = [];
  /** By proxy and type: a later acceptance withdraws it. */
  const rejected = new Map<string, Finding>();
  return {
    setConfigured(findings) {
      configured = findings;
    },
    acked(proxy, typeUrl) {
      rejected.delete(`${proxy.id} ${typeUrl}`);
    },
    rejected(proxy, typeUrl, _version, message) {
      const type = typeUrl.slice(typeUrl.lastIndexOf(".") + 1);
      rejected.set(`${proxy.id} ${typeUrl}`, {
        severity: "error",
        code: "proxy-rejected",
        message: `the proxy keeps its last good configuration, for it refused a ${type}: ${message}`,
        object: { kind: "Pod", namespace: proxy.namespace, name: proxy.name },
      });
    },
    all: () => [...configured, ...rejected.values()],
  };
}
