import type { FastifyPluginAsync } from "fastify";
import type { Logger } from "../platform/log.ts";
import { AdmissionCache, type Reviewed } from "./admission-cache.ts";
import { type Admission, type AdmitDeps, admit, type ReviewOutcome } from "./admit.ts";
import { parseReview } from "./review.ts";
import { readReviewKey } from "./review-key.ts";
import { reviewRoutes } from "./review-routes.ts";
import { TAG_PATH } from "./tag-path.ts";

export interface AdmissionDeps extends AdmitDeps {
  readonly log: Logger;
  readonly metrics?: {
    /** `reused`: whether the answer was at hand, from a review that asked the same. */
    reviewed(review: { readonly outcome: ReviewOutcome; readonly durationMs: number; readonly reused: boolean }): void;
  };
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

/** Serves `POST /inject`, a mutating admission webhook for the creation of pods; `/inject/tag/TAG` for those of a tag. */
export function admissionRoutes(deps: AdmissionDeps): FastifyPluginAsync {
  const cache = new AdmissionCache();
  return reviewRoutes({
    paths: ["/inject", `${TAG_PATH}/:tag`],
    log: deps.log,
    answer(body, { tag }, arrivedMs) {
      const reviewed = review(body, tag, deps, cache);
      tell(reviewed, performance.now() - arrivedMs, deps);
      return reviewed.admission.response;
    },
  });
}

/** @throws TrysailError `invalid-argument` where the body is no AdmissionReview. */
function review(body: Buffer, tag: string | undefined, deps: AdmissionDeps, cache: AdmissionCache): Reviewed {
  const key = readReviewKey(body, tag);
  const known = key && cache.find(key, deps);
  if (known) return known;
  const request = parseReview(body);
  const admission = admit(request, tag === undefined ? deps : withTag(deps, tag));
  const reviewed = { admission, namespace: request.namespace ?? "", dryRun: request.dryRun === true, reused: false };
  if (key) cache.keep(key, reviewed, deps);
  return reviewed;
}

function withTag(deps: AdmissionDeps, tag: string): AdmissionDeps {
  const { config } = deps;
  return { ...deps, config: { ...config, revisionTags: [...config.revisionTags, tag] } };
}

function tell({ admission, namespace, dryRun, reused }: Reviewed, durationMs: number, deps: AdmissionDeps): void {
  const { outcome, message, pod, controller, cause } = admission;
  const record = { namespace, pod, outcome, message, dryRun, durationMs, controller };
  if (outcome === "failed") deps.log.error({ ...record, err: cause }, "admission review");
  else deps.log[outcome === "denied" ? "warn" : "info"](record, "admission review");
  deps.metrics?.reviewed({ outcome, durationMs, reused });
  deps.onDecision?.(record);
}
