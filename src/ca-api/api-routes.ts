import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from "fastify";
import type { Authenticate } from "../ca/caller/authenticate.ts";
import type { CertificateRequest, Certified } from "../ca/certify.ts";
import type { JwtSvidIssuer } from "../ca/jwt/jwt-svid.ts";
import { loggedCause, Refusal, type RefusalReason } from "../ca/refusal.ts";
import { OVERLOAD_RETRY_MS } from "../ca/signing-queue.ts";
import { LARGEST_CSR_BYTES } from "../ca/x509/csr.ts";
import { addBodyParser } from "../platform/body-parser.ts";
import { httpStatusOf } from "../platform/http-status.ts";
import type { Logger } from "../platform/log.ts";
import { answerCertificate } from "./answer-certificate.ts";
import { answerJwtSvid } from "./answer-jwt-svid.ts";
import { answerTrustBundle } from "./answer-trust-bundle.ts";
import { assertParameters } from "./assert-parameters.ts";
import { buildOpenApi } from "./openapi.ts";

export interface CaRoutesDeps {
  certify(request: CertificateRequest): Promise<Certified>;
  readonly authenticate: Authenticate;
  readonly jwtSvids: JwtSvidIssuer;
  /** Every root that peers must accept. */
  trustBundlePem(): string;
  readonly log: Logger;
  readonly metrics?: { refused(reason: string): void };
}

/** JSON escapes each line's end, and its other fields are small. */
const BODY_LIMIT = LARGEST_CSR_BYTES + 8 * 1024;

/** The authority's HTTP API; `GET /v1/openapi.json` describes it. */
export function caRoutes(deps: CaRoutesDeps): FastifyPluginAsync {
  return async (app) => {
    app.removeAllContentTypeParsers();
    // Each route reads the bytes by itself, once it knows that it wants them.
    addBodyParser(app, "*", BODY_LIMIT);
    app.setErrorHandler((error, request, reply) => answerError(deps, error, request, reply));

    app.post("/v1/certificates", (request, reply) => answerCertificate(deps, request, reply));
    app.post("/v1/jwt-svids", (request, reply) => answerJwtSvid(deps, request, reply));
    app.get("/v1/trust-bundle", async (request, reply) => answerTrustBundle(deps, request, reply));
    app.get("/v1/openapi.json", async (request) => {
      assertParameters(request, [], "it takes none");
      return buildOpenApi();
    });
  };
}

/** Where HTTP has a more telling status than the code that gRPC callers are told. */
const STATUS_OF_REASON: Partial<Record<RefusalReason, number>> = {
  impersonation: 403,
  "csr-too-large": 413,
  "unsupported-media-type": 415,
};

function answerError(deps: CaRoutesDeps, thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const early = refusalOfFastify(thrown);
  if (early !== undefined) {
    deps.metrics?.refused(early.reason);
    deps.log.warn(
      { protocol: "https", peer: request.ip, reason: early.reason, ...loggedCause(early) },
      "request refused",
    );
  }
  const error = early ?? thrown;
  const { status: usual, message } = httpStatusOf(error);
  const status = (error instanceof Refusal ? STATUS_OF_REASON[error.reason] : undefined) ?? usual;
  if (status === 500) deps.log.error({ err: error, path: request.url }, "a request to the authority failed");
  if (status === 401) reply.header("www-authenticate", "Bearer");
  if (status === 429 || status === 503) reply.header("retry-after", String(OVERLOAD_RETRY_MS / 1000));
  return reply.code(status).send({ error: message, ...(error instanceof Refusal && { reason: error.reason }) });
}

/** What Fastify refuses before a route sees it: a body that is too large, a length or a content type that is wrong. */
function refusalOfFastify(thrown: unknown): Refusal | undefined {
  if (!(thrown instanceof Error) || !("statusCode" in thrown)) return undefined;
  const cause = { cause: thrown };
  if (thrown.statusCode === 413) return new Refusal("csr-too-large", "the body is too large", cause);
  if (thrown.statusCode === 415) return new Refusal("unsupported-media-type", "no content type that is known", cause);
  return thrown.statusCode === 400 ? new Refusal("bad-request", "the request is malformed", cause) : undefined;
}
