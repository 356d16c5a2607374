import type { FastifyPluginAsync } from "fastify";
import { type AdmissionRequest, parseReview } from "../injection/review.ts";
import { reviewRoutes } from "../injection/review-routes.ts";
import type { Logger } from "../platform/log.ts";
import { type ValidateDeps, type ValidationOutcome, validate } from "./validate.ts";

export interface ValidationDeps extends ValidateDeps {
  readonly log: Logger;
  readonly metrics?: { validated(kind: string, outcome: ValidationOutcome, durationMs: number): void };
}

/** Serves `POST /validate`, a validating admission webhook for Istio's kinds. */
export function validationRoutes(deps: ValidationDeps): FastifyPluginAsync {
  return reviewRoutes({ paths: ["/validate"], log: deps.log, answer: (body) => respond(parseReview(body), deps) });
}

function respond(request: AdmissionRequest, deps: ValidationDeps) {
  const startedMs = performance.now();
  const { response, outcome, findings, cause } = validate(request, deps);
  const durationMs = performance.now() - startedMs;
  const { kind } = request.kind;
  const record = {
    kind,
    namespace: request.namespace ?? "",
    name: request.name ?? "",
    outcome,
    findings: findings.map(({ message }) => message),
    dryRun: request.dryRun === true,
    durationMs,
  };
  if (outcome === "failed") deps.log.error({ ...record, err: cause }, "validation review");
  else deps.log[outcome === "denied" ? "warn" : "info"](record, "validation review");
  deps.metrics?.validated(kind, outcome, durationMs);
  return response;
}
