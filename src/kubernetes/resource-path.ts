export interface ResourceAddress {
  /** `v1` or `GROUP/VERSION`. */
  readonly apiVersion: string;
  /** The plural under which the API serves the kind, such as `configmaps`. */
  readonly resource: string;
  /** Absent for cluster-scoped resources, and for those of all namespaces. */
  readonly namespace?: string;
  /** Absent for the whole collection. */
  readonly name?: string;
  readonly subresource?: string;
}

/** Where the API server serves it: https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris */
export function resourcePath({ apiVersion, resource, namespace, name, subresource }: ResourceAddress): string {
  const root = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const scope = namespace === undefined ? "" : `/namespaces/${encodeURIComponent(namespace)}`;
  const item = name === undefined ? "" : `/${encodeURIComponent(name)}`;
  return `${root}${scope}/${resource}${item}${subresource === undefined ? "" : `/${subresource}`}`;
}
