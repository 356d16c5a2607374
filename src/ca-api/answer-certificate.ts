import type { FastifyReply, FastifyRequest } from "fastify";
import { Compile } from "typebox/compile";
import type { CertificateRequest, Certified } from "../ca/certify.ts";
import { spiffeId } from "../ca/identity.ts";
import { loggedCause, Refusal, reasonOf } from "../ca/refusal.ts";
import type { Logger } from "../platform/log.ts";
import { CertificateBody } from "./api-schemas.ts";
import { assertParameters } from "./assert-parameters.ts";
import { mediaTypeOf } from "./media-type.ts";
import { fieldsOf, parseJsonBody } from "./parse-json-body.ts";
import { requestCredentials } from "./request-credentials.ts";

export interface AnswerCertificateDeps {
  certify(request: CertificateRequest): Promise<Certified>;
  trustBundlePem(): string;
  readonly log: Pick<Logger, "warn">;
  readonly metrics?: { refused(reason: string): void };
}

const validator = Compile(CertificateBody);
const JSON_TYPE = "application/json";
const DER_TYPE = "application/pkcs10";
/** What curl sends where it is told nothing is among them. */
const PEM_TYPES = ["application/x-pem-file", "text/plain", "application/x-www-form-urlencoded"];
const PEM_CHAIN_TYPE = "application/pem-certificate-chain";
const JSON_FIELDS = `a JSON body takes ${fieldsOf(validator)}`;

/** `POST /v1/certificates`: JSON is answered by JSON, a bare request (PEM or DER) by the chain in PEM. */
export async function answerCertificate(
  deps: AnswerCertificateDeps,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const audit = { protocol: "https" as const, peer: request.ip };
  const { body, wantsJson } = parse(deps, request, audit);
  const certified = await deps.certify({ credentials: requestCredentials(request), ...body, audit });
  // The answers are made as bytes: a text would be encoded anew on its way through TLS.
  if (!wantsJson) return reply.type(PEM_CHAIN_TYPE).send(Buffer.from(certified.chainPem));
  const answer = {
    spiffeId: spiffeId(certified.identity),
    serialNumber: certified.serialNumber,
    notAfter: new Date(certified.notAfter).toISOString(),
    certificateChain: certified.chainPem,
    trustBundle: deps.trustBundlePem(),
  };
  return reply.type(JSON_TYPE).send(Buffer.from(JSON.stringify(answer)));
}

/** `certify` counts and logs what it refuses; this is what does not come so far. */
function parse(deps: AnswerCertificateDeps, request: FastifyRequest, audit: CertificateRequest["audit"]): ParsedBody {
  try {
    return readBody(request);
  } catch (error) {
    const reason = reasonOf(error);
    deps.metrics?.refused(reason);
    deps.log.warn({ ...audit, reason, ...loggedCause(error) }, "certificate refused");
    throw error;
  }
}

interface ParsedBody {
  readonly body: Pick<CertificateRequest, "csr" | "ttlMs" | "impersonated">;
  readonly wantsJson: boolean;
}

function readBody(request: FastifyRequest): ParsedBody {
  const type = mediaTypeOf(request);
  if (type === JSON_TYPE) {
    assertParameters(request, [], JSON_FIELDS);
    const { csr, ttlSeconds, impersonatedIdentity } = parseJsonBody(validator, request.body);
    return { body: { csr, ttlMs: millisecondsOf(ttlSeconds), impersonated: impersonatedIdentity }, wantsJson: true };
  }
  const isPem = PEM_TYPES.includes(type);
  if (!isPem && type !== DER_TYPE) {
    const taken = [JSON_TYPE, DER_TYPE, ...PEM_TYPES].join(", ");
    throw new Refusal("unsupported-media-type", `the content type must be one of ${taken}`);
  }
  assertParameters(request, ["ttlSeconds"], `it takes ttlSeconds, and ${JSON_FIELDS}`);
  if (!Buffer.isBuffer(request.body)) throw new Refusal("bad-request", "the request has no body");
  const wantsJson = request.headers.accept?.includes(JSON_TYPE) === true;
  const ttlMs = millisecondsOf(parseTtl(request.query));
  return { body: { csr: isPem ? request.body.toString("latin1") : request.body, ttlMs }, wantsJson };
}

function parseTtl(query: unknown): number | undefined {
  if (typeof query !== "object" || query === null || !("ttlSeconds" in query)) return undefined;
  const text = String(query.ttlSeconds);
  if (!/^[1-9][0-9]{0,9}$/.test(text))
    throw new Refusal("bad-request", "ttlSeconds must be a whole number of seconds, from 1");
  return Number(text);
}

function millisecondsOf(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1000;
}
