import type { ProxyConfigResource } from "../mesh/istio/proxy-config.ts";
import type { Namespace } from "../mesh/kubernetes/core.ts";
import { messageOf, TrysailError } from "../platform/errors.ts";
import { printable } from "../platform/printable.ts";
import { decide, type SkipReasonCode } from "./decide.ts";
import type { InjectionConfig } from "./injection-config.ts";
import { LABEL } from "./labels.ts";
import { buildPatch } from "./patch.ts";
import { labelsOf, nameOf, type PodManifest } from "./pod.ts";
import { type AdmissionRequest, parsePod } from "./review.ts";
import { selectProxyConfig } from "./select-proxy-config.ts";
import { controllerOf } from "./workload-owner.ts";

/** `ignored`: a request that injection has no say in, such as an update. `denied`: a pod that cannot be injected. */
export type ReviewOutcome = "injected" | "denied" | "failed" | "ignored" | SkipReasonCode;

/** What became of one request, and the response that says so. */
export interface Admission {
  readonly outcome: ReviewOutcome;
  /** One sentence; empty where the pod is injected. */
  readonly message: string;
  /** The pod's name, as far as its controller has begun it. */
  readonly pod: string;
  readonly response: AdmissionResponse;
  /** Where the pod got as far as naming it. */
  readonly controller?: ReturnType<typeof controllerOf>;
  /** What a failure was, for the log only. */
  readonly cause?: unknown;
}

/** https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#response */
export type AdmissionResponse = { readonly uid: string; readonly warnings?: readonly string[] } & (
  | { readonly allowed: true; readonly patchType?: "JSONPatch"; readonly patch?: string }
  | { readonly allowed: true; readonly auditAnnotations: { readonly "skip-reason": string } }
  | { readonly allowed: false; readonly status: { code: number; reason: string; message: string } }
);

export interface AdmitDeps {
  /** Undefined means that there is no such namespace, hence no labels. */
  namespaceOf(name: string): Namespace | undefined;
  /** As it was before its labels changed, where that was moments ago: whoever asks may not have seen the change. */
  formerNamespaceOf?(name: string): Namespace | undefined;
  /** Of the root namespaces and the named one, in a list that stays the same while they do; without it, none. */
  proxyConfigsFor?(namespace: string): readonly ProxyConfigResource[];
  readonly config: InjectionConfig;
}

/** Never throws: what is wrong with a pod is told to whoever creates it. */
export function admit(request: AdmissionRequest, deps: AdmitDeps): Admission {
  const { uid } = request;
  const { kind } = request.kind;
  let pod = request.name ?? "";
  let controller: Admission["controller"];
  try {
    if (request.operation !== "CREATE" || request.subResource) {
      const message = `Only the creation of pods is of interest, not ${request.operation} ${request.subResource ?? ""}`;
      return { outcome: "ignored", message: `${message.trim()}.`, pod, response: { uid, allowed: true } };
    }
    if (kind !== "Pod") {
      const message = `only pods can be injected, not ${kind}; the webhook's rules should name pods alone`;
      throw new TrysailError("invalid-argument", message);
    }
    const manifest = parsePod(request.object);
    pod = nameOf(manifest) || pod;
    controller = controllerOf(manifest);
    const namespace = request.namespace || manifest.metadata?.namespace || "default";
    const { labels: namespaceLabels = {}, annotations: namespaceAnnotations = {} } =
      deps.namespaceOf(namespace)?.metadata ?? {};
    const decision = decide({
      pod: manifest,
      namespace,
      namespaceLabels,
      formerNamespaceLabels: deps.formerNamespaceOf?.(namespace)?.metadata.labels,
      namespaceAnnotations,
      proxyConfig: selectProxyConfig(deps.proxyConfigsFor?.(namespace) ?? [], namespace, labelsOf(manifest)),
      config: deps.config,
    });
    if (!decision.inject) {
      const { code, message } = decision.reason;
      return {
        outcome: code,
        message,
        pod,
        controller,
        response: {
          uid,
          allowed: true,
          auditAnnotations: { "skip-reason": code },
          ...(isSurprising(manifest, code) ? warningsOf([message]) : {}),
        },
      };
    }
    const patch = Buffer.from(JSON.stringify(buildPatch(manifest, decision.plan))).toString("base64");
    const warnings = warningsOf(decision.plan.warnings);
    const response: AdmissionResponse = { uid, allowed: true, patchType: "JSONPatch", patch, ...warnings };
    return { outcome: "injected", message: "", pod, controller, response };
  } catch (cause) {
    if (cause instanceof TrysailError && cause.code === "invalid-argument") {
      const message = `trysail cannot inject the pod: ${cause.message}`;
      const status = { code: 400, reason: "BadRequest", message };
      return {
        outcome: "denied",
        message: messageOf(cause),
        pod,
        controller,
        response: { uid, allowed: false, status },
      };
    }
    const status = {
      code: 500,
      reason: "InternalError",
      message: "trysail failed to inject the pod; its log says why",
    };
    return {
      outcome: "failed",
      message: messageOf(cause),
      pod,
      controller,
      response: { uid, allowed: false, status },
      cause,
    };
  }
}

/** A pod that asks for a sidecar and does not get one; who asks for none, or has one, knows. */
function isSurprising(pod: PodManifest, code: SkipReasonCode): boolean {
  return labelsOf(pod)[LABEL.inject.name] === "true" && !EXPECTED.includes(code);
}

const EXPECTED: readonly SkipReasonCode[] = ["already-injected", "injected-by-other", "other-revision"];

/** They travel as HTTP headers, without control characters; Kubernetes shows 120 characters well and cuts at 4096 in all. */
function warningsOf(warnings: readonly string[]): { warnings?: readonly string[] } {
  if (warnings.length === 0) return {};
  const lines = warnings.slice(0, 16).map(printable);
  return { warnings: lines.map((text) => (text.length > 250 ? `${text.slice(0, 249).toWellFormed()}…` : text)) };
}
