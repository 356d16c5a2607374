import type { FastifyError, FastifyPluginAsync } from "fastify";
import { createBackToBack } from "../platform/back-to-back.ts";
import { addBodyParser } from "../platform/body-parser.ts";
import { TrysailError } from "../platform/errors.ts";
import type { Logger } from "../platform/log.ts";
import { encodeReview, type ReviewResponse } from "./encode-review.ts";

export interface ReviewRoute {
  /** Such as `/inject`, with Fastify's parameters. */
  readonly paths: readonly string[];
  readonly log: Logger;
  /**
   * The `response` of the review. `arrivedMs` is when all of it was here, as `performance.now` has it.
   *
   * @throws TrysailError `invalid-argument` where the body is no AdmissionReview, and nothing for what one can hold.
   */
  answer(body: Buffer, parameters: Readonly<Record<string, string>>, arrivedMs: number): ReviewResponse;
}

/** The API server takes objects of up to 3 MiB; the rest is room for the review around one. */
const MAX_BODY_BYTES = 4 * 1024 * 1024;

/** Serves an admission webhook: what is not an AdmissionReview is answered by an HTTP error, all else by a review. */
export function reviewRoutes({ paths, log, answer }: ReviewRoute): FastifyPluginAsync {
  const inTurn = createBackToBack();
  return async (app) => {
    // The review's own parser caps depth before anything is decoded.
    app.removeAllContentTypeParsers();
    addBodyParser(app, "application/json", MAX_BODY_BYTES);

    app.setErrorHandler((error: FastifyError | TrysailError, _request, reply) => {
      const status = error instanceof TrysailError ? 400 : (error.statusCode ?? 500);
      if (status >= 500) log.error({ err: error }, "admission review failed");
      return reply.code(status).send({ error: status >= 500 ? "internal error" : error.message });
    });

    for (const path of paths) {
      app.post<{ Params: Readonly<Record<string, string>> }>(path, async (request, reply) => {
        const { body, params } = request;
        if (!Buffer.isBuffer(body)) throw new TrysailError("invalid-argument", "the request has no body");
        const arrivedMs = performance.now();
        const response = await inTurn(() => answer(body, params, arrivedMs));
        // As bytes: a text would be encoded anew on its way through TLS.
        return reply.type("application/json").send(encodeReview(response));
      });
    }
  };
}
