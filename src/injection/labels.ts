import { type Entry, entry } from "./annotation-entry.ts";
import { parseAnything } from "./annotation-values.ts";

/** A label and where it counts. */
export interface LabelEntry extends Entry<string> {
  readonly on: string;
}

const label = (name: string, on: string, type: string, effect: string, fallback?: string): LabelEntry => ({
  ...entry({ name, type, parse: parseAnything, effect, ...(fallback === undefined ? {} : { fallback }) }),
  on,
});

/** Istio's labels that injection reads or writes. https://istio.io/latest/docs/reference/config/labels/ */
export const LABEL = {
  namespaceInjection: label(
    "istio-injection",
    "namespace",
    "enabled or disabled",
    "whether the namespace's pods are injected, by the revision `default`",
  ),
  revision: label("istio.io/rev", "namespace or pod", "revision or tag", "which control plane injects"),
  inject: label(
    "sidecar.istio.io/inject",
    "pod",
    "true or false",
    "whether this pod is injected; wins over the annotation",
  ),
  network: label("topology.istio.io/network", "pod", "name", "the node metadata NETWORK", "the mesh's"),
  tlsMode: label("security.istio.io/tlsMode", "pod", "word", "written by injection, unless set: `istio`"),
  workloadName: label(
    "service.istio.io/workload-name",
    "pod",
    "name",
    "the node metadata WORKLOAD_NAME",
    "the workload's name",
  ),
  canonicalName: label(
    "service.istio.io/canonical-name",
    "pod",
    "name",
    "written by injection, unless set",
    "`app.kubernetes.io/name`, `app`, or the workload's name (of a long one the first 63 characters)",
  ),
  canonicalRevision: label(
    "service.istio.io/canonical-revision",
    "pod",
    "name",
    "written by injection, unless set",
    "`app.kubernetes.io/version`, `version`, or `latest`",
  ),
} as const;
