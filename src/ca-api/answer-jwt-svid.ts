import type { FastifyReply, FastifyRequest } from "fastify";
import { Compile } from "typebox/compile";
import type { Authenticate } from "../ca/caller/authenticate.ts";
import { spiffeId } from "../ca/identity.ts";
import type { JwtSvidIssuer } from "../ca/jwt/jwt-svid.ts";
import { loggedCause, Refusal, reasonOf } from "../ca/refusal.ts";
import type { Logger } from "../platform/log.ts";
import { JwtSvidBody } from "./api-schemas.ts";
import { assertParameters } from "./assert-parameters.ts";
import { mediaTypeOf } from "./media-type.ts";
import { fieldsOf, parseJsonBody } from "./parse-json-body.ts";
import { requestCredentials } from "./request-credentials.ts";

export interface AnswerJwtSvidDeps {
  readonly authenticate: Authenticate;
  readonly jwtSvids: JwtSvidIssuer;
  readonly log: Logger;
  readonly metrics?: { refused(reason: string): void };
}

const validator = Compile(JwtSvidBody);
const JSON_TYPE = "application/json";

/** `POST /v1/jwt-svids`. */
export async function answerJwtSvid(
  deps: AnswerJwtSvidDeps,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const audit = { protocol: "https", peer: request.ip };
  try {
    const identity = await deps.authenticate(requestCredentials(request));
    assertParameters(request, [], `the body takes ${fieldsOf(validator)}`);
    if (mediaTypeOf(request) !== JSON_TYPE) {
      throw new Refusal("unsupported-media-type", `the content type must be ${JSON_TYPE}`);
    }
    const { audience, ttlSeconds } = parseJsonBody(validator, request.body);
    const ttlMs = ttlSeconds === undefined ? undefined : ttlSeconds * 1000;
    const { token, notAfter } = await deps.jwtSvids.issue({ identity, audiences: audience, ttlMs });
    const id = spiffeId(identity);
    deps.log.info({ ...audit, id, audience, notAfter: new Date(notAfter) }, "JWT-SVID issued");
    return reply.send({ spiffeId: id, token, notAfter: new Date(notAfter).toISOString() });
  } catch (error) {
    const reason = reasonOf(error);
    deps.metrics?.refused(reason);
    deps.log.warn({ ...audit, reason, ...loggedCause(error) }, "JWT-SVID refused");
    throw error;
  }
}
