import type { ProxyConfig } from "../mesh/istio/mesh-proxy-config.ts";
import type { ProxyConfigResource } from "../mesh/istio/proxy-config.ts";
import { labelsMatch } from "../mesh/labels.ts";
import { olderFirst } from "../mesh/object.ts";
import { mergeProxyConfig } from "./proxy-config.ts";

/**
 * What ProxyConfig resources say about a pod with these labels: the mesh's, over that the namespace's, over that the one
 * that selects the pod; of several alike the oldest. `resources` are those of the root namespaces and of the pod's own.
 */
export function selectProxyConfig(
  resources: readonly ProxyConfigResource[],
  namespace: string,
  labels: Readonly<Record<string, string>>,
): ProxyConfig {
  const oldest = [...resources].sort(olderFirst);
  const selecting = ({ spec }: ProxyConfigResource) => Object.keys(spec.selector?.matchLabels ?? {}).length > 0;
  const near = oldest.filter(({ metadata }) => metadata.namespace === namespace);
  const layers = [
    oldest.find((resource) => resource.metadata.namespace !== namespace && !selecting(resource)),
    near.find((resource) => !selecting(resource)),
    near.find((resource) => selecting(resource) && labelsMatch(resource.spec.selector?.matchLabels, labels)),
  ];
  return layers.reduce<ProxyConfig>(
    (merged, layer) => (layer ? mergeProxyConfig(merged, fieldsOf(layer)) : merged),
    {},
  );
}

function fieldsOf({ spec: { concurrency, environmentVariables, image } }: ProxyConfigResource): ProxyConfig {
  return {
    ...(concurrency === undefined ? {} : { concurrency }),
    ...(environmentVariables === undefined ? {} : { proxyMetadata: { ...environmentVariables } }),
    ...(image?.imageType === undefined ? {} : { image: { imageType: image.imageType } }),
  };
}
