import type { FastifyError, FastifyPluginAsync } from "fastify";
import { TrysailError } from "../platform/errors.ts";
import type { Logger } from "../platform/log.ts";
import { type AdmitDeps, admit, type ReviewOutcome } from "./admit.ts";
import { type AdmissionRequest, parseReview } from "./review.ts";

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
}

/** The API server takes objects of up to 3 MiB; the rest is room for the review around one. */
const MAX_BODY_BYTES = 4 * 1024 * 1024;

/** Serves `POST /inject`, a mutating admission webhook for the creation of pods. */
export function admissionRoutes(deps: AdmissionDeps): FastifyPluginAsync {
  return async (app) => {
    // The review's own parser caps depth before anything is decoded.
    app.removeAllContentTypeParsers();
    app.addContentTypeParser("application/json", { parseAs: "buffer" }, (_request, body, done) => done(null, body));

    app.setErrorHandler((error: FastifyError | TrysailError, _request, reply) => {
      const status = error instanceof TrysailError ? 400 : (error.statusCode ?? 500);
      if (status >= 500) deps.log.error({ err: error }, "admission review failed");
      return reply.code(status).send({ error: status >= 500 ? "internal error" : error.message });
    });

    app.post("/inject", { bodyLimit: MAX_BODY_BYTES }, async (request) => {
      if (!Buffer.isBuffer(request.body)) throw new TrysailError("invalid-argument", "the request has no body");
      const response = respond(parseReview(request.body), deps);
      return { apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", response };
    });
  };
}

function respond(request: AdmissionRequest, deps: AdmissionDeps) {
  const startedMs = performance.now();
  const { response, outcome, message, pod, cause } = admit(request, deps);
  const durationMs = performance.now() - startedMs;
  const namespace = request.namespace ?? "";
  const record = { namespace, pod, outcome, message, dryRun: request.dryRun === true, durationMs };
  if (outcome === "failed") deps.log.error({ ...record, err: cause }, "admission review");
  else deps.log[outcome === "denied" ? "warn" : "info"](record, "admission review");
  deps.metrics?.reviewed(outcome, durationMs);
  deps.onDecision?.(record);
  return response;
}
