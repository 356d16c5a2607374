import { createHash } from "node:crypto";
import type { FastifyReply, FastifyRequest } from "fastify";
import { buildSpiffeBundle } from "../ca/bundle/spiffe-bundle.ts";
import type { JwtSvidIssuer } from "../ca/jwt/jwt-svid.ts";
import { Refusal } from "../ca/refusal.ts";
import { assertParameters } from "./assert-parameters.ts";

export interface AnswerTrustBundleDeps {
  trustBundlePem(): string;
  readonly jwtSvids: Pick<JwtSvidIssuer, "keys">;
}

/** A root is published long before it signs, so minutes are soon enough. */
const REFRESH_HINT_SECONDS = 300;

/** `GET /v1/trust-bundle`: public, since it holds public keys only. `?format=` goes before `Accept`; PEM by default. */
export function answerTrustBundle(
  { trustBundlePem, jwtSvids }: AnswerTrustBundleDeps,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  assertParameters(request, ["format"], "it takes format");
  const rootsPem = trustBundlePem();
  const isSpiffe = wantsSpiffe(request);
  const body = isSpiffe
    ? buildSpiffeBundle({ rootsPem, jwtKeys: jwtSvids.keys, refreshHintSeconds: REFRESH_HINT_SECONDS })
    : rootsPem;
  const etag = `"${createHash("sha256").update(body).digest("base64url")}"`;
  reply.headers({ etag, vary: "accept", "cache-control": `public, max-age=${REFRESH_HINT_SECONDS}` });
  const known = request.headers["if-none-match"]?.split(",").map((tag) => tag.trim().replace(/^W\//, "")) ?? [];
  if (known.includes(etag) || known.includes("*")) return reply.code(304).send();
  return reply.type(isSpiffe ? "application/json" : "application/x-pem-file").send(body);
}

function wantsSpiffe({ query, headers }: FastifyRequest): boolean {
  if (typeof query === "object" && query !== null && "format" in query) {
    if (query.format !== "pem" && query.format !== "spiffe")
      throw new Refusal("bad-request", "format is pem or spiffe");
    return query.format === "spiffe";
  }
  return headers.accept?.includes("application/json") === true;
}
