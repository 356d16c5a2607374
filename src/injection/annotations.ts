import { type Entry, entry } from "./annotation-entry.ts";
import * as value from "./annotation-values.ts";
import { HEALTH_ANNOTATIONS } from "./health-annotations.ts";
import { INTERCEPTION_ANNOTATIONS } from "./interception-annotations.ts";
import { PROXY_ANNOTATIONS } from "./proxy-annotations.ts";
import { parseProxyConfig, type ReadProxyConfig } from "./proxy-config.ts";
import { STATS_ANNOTATIONS } from "./stats-annotations.ts";

const inject: Entry<string> = entry({
  name: "sidecar.istio.io/inject",
  type: "true or false",
  parse: value.parseAnything,
  effect: "the older spelling of the label; selects nothing by itself",
});

const proxyConfig: Entry<ReadProxyConfig> = entry({
  name: "proxy.istio.io/config",
  type: "ProxyConfig, YAML",
  parse: parseProxyConfig,
  effect: "the pod's own ProxyConfig, over the mesh's; its fields are below",
});

/** Whether and by what the pod is injected. */
const injection = {
  inject,
  templates: entry({
    name: "inject.istio.io/templates",
    type: "names",
    parse: value.parseObjectNames,
    fallback: "`sidecar`",
    effect: "which injection templates are applied, in this order: `sidecar`, `gateway`, or those of the configuration",
  }),
  proxyConfig,
} as const;

/** Read by others, or written by Istio's parts: known, and left alone. */
const leftAlone = {
  status: entry({
    name: "sidecar.istio.io/status",
    type: "JSON",
    parse: value.parseAnything,
    effect: "written by injection: what was added",
  }),
  overrides: entry({
    name: "proxy.istio.io/overrides",
    type: "JSON",
    parse: value.parseAnything,
    effect: "written by Istio's injector; left alone",
  }),
  revision: entry({
    name: "istio.io/rev",
    type: "name",
    parse: value.parseAnything,
    effect: "written by injection: the revision that did it",
  }),
  autoMtls: entry({
    name: "security.istio.io/autoMTLS",
    type: "true or false",
    parse: value.parseAnything,
    effect: "none",
    without: "the mesh's setting holds for all",
  }),
} as const;

/**
 * Every annotation of a pod that Istio documents, and what it does here. The injector reads annotations only through
 * these entries, and docs/injection.md lists them. https://istio.io/latest/docs/reference/config/annotations/
 */
export const ANNOTATION = {
  ...injection,
  ...PROXY_ANNOTATIONS,
  ...HEALTH_ANNOTATIONS,
  ...INTERCEPTION_ANNOTATIONS,
  ...STATS_ANNOTATIONS,
  ...leftAlone,
} as const;

export const ANNOTATION_BY_NAME: ReadonlyMap<string, Entry<unknown>> = new Map(
  Object.values(ANNOTATION).map((known) => [known.name, known]),
);
