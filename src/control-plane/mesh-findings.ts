import type { Finding } from "../mesh/finding.ts";
import type { AckObserver } from "../xds/config-source.ts";
import type { ProxyNode } from "../xds/node.ts";
import type { TypeUrl } from "../xds/resource-set.ts";

/** What is wrong with the mesh now: what its source and snapshot say, and what proxies refused. */
export interface MeshFindings extends AckObserver {
  /** Replaces what came from the configuration itself. */
  setConfigured(findings: readonly Finding[]): void;
  all(): readonly Finding[];
}

export function createMeshFindings(): MeshFindings {
  let configured: readonly Finding[] = [];
  /** By proxy, then by type: a later acceptance withdraws it, and so does the end of the stream. */
  const rejected = new Map<ProxyNode, Map<TypeUrl, Finding>>();
  return {
    setConfigured(findings) {
      configured = findings;
    },
    acked(proxy, typeUrl) {
      rejected.get(proxy)?.delete(typeUrl);
    },
    rejected(proxy, typeUrl, _version, message) {
      const type = typeUrl.slice(typeUrl.lastIndexOf(".") + 1);
      const ofProxy = rejected.get(proxy) ?? new Map<TypeUrl, Finding>();
      rejected.set(proxy, ofProxy);
      ofProxy.set(typeUrl, {
        severity: "error",
        code: "proxy-rejected",
        message: `the proxy keeps its last good configuration, for it refused a ${type}: ${message}`,
        object: { kind: "Pod", namespace: proxy.namespace, name: proxy.name },
      });
    },
    disconnected(proxy) {
      rejected.delete(proxy);
    },
    all: () => [...configured, ...[...rejected.values()].flatMap((ofProxy) => [...ofProxy.values()])],
  };
}
