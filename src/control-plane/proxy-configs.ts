import type { WorkloadIdentity } from "../ca/identity.ts";
import { messageOf } from "../platform/errors.ts";
import type { Logger } from "../platform/log.ts";
import type { WorkloadSecrets } from "../sds/workload-secrets.ts";
import type { Translator } from "../translate/translator.ts";
import type { ConfigHandle, ConfigSource } from "../xds/config-source.ts";
import type { ProxyNode } from "../xds/node.ts";
import { type EncodedResource, type ProxyResources, ResourceSet, TYPE_URL } from "../xds/resource-set.ts";

export interface ProxyConfigsDeps {
  readonly translator: Pick<Translator, "translate">;
  readonly secrets: WorkloadSecrets;
  /** Secrets of the mesh's objects that a proxy may have beside its own; the same list for as long as it holds the same. */
  credentials(proxy: ProxyNode, identity: WorkloadIdentity): readonly EncodedResource[];
  readonly log: Logger;
}

/** What the streams serve: each proxy's translated configuration together with its own secrets. */
export interface ProxyConfigs extends ConfigSource {
  /** Tells every open stream that the translator answers anew. */
  meshChanged(): void;
}

export function createProxyConfigs({ translator, secrets, credentials, log }: ProxyConfigsDeps): ProxyConfigs {
  const listeners = new Set<() => void>();

  return {
    meshChanged() {
      for (const listener of [...listeners]) listener();
    },
    open(proxy: ProxyNode, identity: WorkloadIdentity | null, onChange: () => void): ConfigHandle {
      let told = false;
      let last: ProxyResources = new Map();
      const changed = () => {
        if (told) return;
        told = true;
        onChange();
      };
      listeners.add(changed);
      const own = identity === null ? undefined : secrets.open(identity, changed);
      const withCredentials = createSecretJoin();
      return {
        current() {
          told = false;
          try {
            const secretSet = withCredentials(own?.current(), identity === null ? [] : credentials(proxy, identity));
            const translated = translator.translate(proxy);
            last = secretSet === undefined ? translated : new Map([...translated, [TYPE_URL.secret, secretSet]]);
          } catch (error) {
            // A mistake of ours must not end the stream: the proxy keeps what it has.
            log.error({ err: error, proxy: proxy.id }, `translation failed: ${messageOf(error)}`);
          }
          return last;
        },
        close() {
          listeners.delete(changed);
          own?.close();
        },
      };
    },
  };
}

/** Joins a proxy's own secrets with others, to the same set for as long as both are the same. */
function createSecretJoin() {
  let last: { own: ResourceSet; others: readonly EncodedResource[]; joined: ResourceSet } | undefined;
  return (own: ResourceSet | undefined, others: readonly EncodedResource[]): ResourceSet | undefined => {
    if (own === undefined || others.length === 0) return own;
    if (last?.own !== own || last.others !== others) {
      last = { own, others, joined: new ResourceSet(TYPE_URL.secret, [...own.byName.values(), ...others]) };
    }
    return last.joined;
  };
}
