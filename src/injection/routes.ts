import type { FastifyPluginAsync } from "fastify";
import type { Logger } from "../platform/log.ts";
import { type Admission, type AdmitDeps, admit, type ReviewOutcome } from "./admit.ts";
import type { AdmissionRequest } from "./review.ts";
import { reviewRoutes } from "./review-routes.ts";

export interface AdmissionDeps extends AdmitDeps {
  readonly log: Logger;
  readonly metrics?: { reviewed(outcome: ReviewOutcome, durationMs: number): void };
  onDecision?(record: DecisionRecord): void;
}

/** One reviewed request, for whoever explains or shows what was decided. */
export interface DecisionRecord {
  readonly namespace: string;
  readonly pod: string;
  readonly outcome: ReviewOutcome;
  readonly message: string;
  /** A dry run is answered like any other request, and may leave no trace outside the answer. */
  readonly dryRun: boolean;
  readonly durationMs: number;
  /** What made the pod, where it is known. */
  readonly controller?: Admission["controller"];
}

/** Serves `POST /inject`, a mutating admission webhook for the creation of pods. */
export function admissionRoutes(deps: AdmissionDeps): FastifyPluginAsync {
  return reviewRoutes({ path: "/inject", log: deps.log, answer: (request) => respond(request, deps) });
}

function respond(request: AdmissionRequest, deps: AdmissionDeps) {
  const startedMs = performance.now();
  const { response, outcome, message, pod, controller, cause } = admit(request, deps);
  const durationMs = performance.now() - startedMs;
  const namespace = request.namespace ?? "";
  const record = { namespace, pod, outcome, message, dryRun: request.dryRun === true, durationMs, controller };
  if (outcome === "failed") deps.log.error({ ...record, err: cause }, "admission review");
  else deps.log[outcome === "denied" ? "warn" : "info"](record, "admission review");
  deps.metrics?.reviewed(outcome, durationMs);
  deps.onDecision?.(record);
  return response;
}
