import { isRecord } from "../mesh/conform.ts";
import { readAnnotation } from "./annotation-entry.ts";
import { ANNOTATION } from "./annotations.ts";
import type { InjectionConfig } from "./injection-config.ts";
import { parseJsonObject } from "./json-object.ts";
import { annotationsOf, type PodManifest } from "./pod.ts";
import { APP_PROBERS_ENV, CONTAINER_NAME, chosenStatusPort } from "./pod-contract.ts";
import { type ProbeRewrite, planProbes } from "./probes.ts";

/** What another webhook's work behind injection asks for: the API server then has the pod reviewed once more. */
export interface ExtensionPlan {
  readonly kind: "extend";
  readonly probes: readonly ProbeRewrite[];
  /** The init container's environment, with the new probes in it. */
  readonly initEnvironment: readonly unknown[];
  readonly warnings: readonly string[];
}

/**
 * Probes and hooks of an injected pod that do not go by way of the sidecar yet, since their containers came later; null
 * where there are none, so that a pod reviewed twice without need stays as it is.
 * https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#reinvocation-policy
 */
export function planExtension(pod: PodManifest, config: InjectionConfig): ExtensionPlan | null {
  const status: { readonly revision?: unknown } =
    parseJsonObject(annotationsOf(pod)[ANNOTATION.status.name] ?? "") ?? {};
  if (status.revision !== config.revision) return null;
  if (!(readAnnotation(annotationsOf(pod), ANNOTATION.rewriteAppProbes) ?? config.rewriteAppProbes)) return null;
  const init: unknown = pod.spec.initContainers?.find(({ name }) => name === CONTAINER_NAME.init);
  const environment: unknown = isRecord(init) ? init.env : undefined;
  // A gateway's own probes are its Envoy's.
  if (!Array.isArray(environment) || valueIn(environment, "PROXY_TYPE") === "router") return null;
  const proxyConfig: { readonly statusPort?: unknown } =
    parseJsonObject(valueIn(environment, "PROXY_CONFIG") ?? "") ?? {};
  const { statusPort } = proxyConfig;
  const { rewrites, probers } = planProbes(
    pod,
    typeof statusPort === "number" ? chosenStatusPort({ statusPort }) : undefined,
  );
  if (rewrites.length === 0) return null;
  const written = valueIn(environment, APP_PROBERS_ENV);
  const known = written === undefined ? {} : parseJsonObject(written.replaceAll("$$", "$"));
  if (known === undefined) return null;
  const value = JSON.stringify({ ...known, ...probers }).replaceAll("$", "$$$$");
  const variable = { name: APP_PROBERS_ENV, value };
  const initEnvironment =
    written === undefined
      ? [...environment, variable]
      : environment.map((item: unknown) => (isRecord(item) && item.name === APP_PROBERS_ENV ? variable : item));
  return { kind: "extend", probes: rewrites, initEnvironment, warnings: [] };
}

function valueIn(environment: readonly unknown[], name: string): string | undefined {
  const found = environment.find((item) => isRecord(item) && item.name === name);
  return isRecord(found) && typeof found.value === "string" ? found.value : undefined;
}
