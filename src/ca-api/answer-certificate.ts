import type { FastifyReply, FastifyRequest } from "fastify";
import { Compile } from "typebox/compile";
import type { CertificateRequest, Certified } from "../ca/certify.ts";
import { spiffeId } from "../ca/identity.ts";
import { Refusal } from "../ca/refusal.ts";
import { CertificateBody } from "./api-schemas.ts";
import { parseJsonBody } from "./parse-json-body.ts";
import { requestCredentials } from "./request-credentials.ts";

export interface AnswerCertificateDeps {
  certify(request: CertificateRequest): Promise<Certified>;
  trustBundlePem(): string;
}

const validator = Compile(CertificateBody);
const JSON_TYPE = "application/json";
const DER_TYPE = "application/pkcs10";
/** What curl sends where it is told nothing is among them. */
const PEM_TYPES = ["application/x-pem-file", "text/plain", "application/x-www-form-urlencoded"];
const PEM_CHAIN_TYPE = "application/pem-certificate-chain";

/** `POST /v1/certificates`: JSON is answered by JSON, a bare request (PEM or DER) by the chain in PEM. */
export async function answerCertificate(
  deps: AnswerCertificateDeps,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { body, wantsJson } = readBody(request);
  const certified = await deps.certify({
    credentials: requestCredentials(request),
    ...body,
    audit: { protocol: "https", peer: request.ip },
  });
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

function readBody(request: FastifyRequest): {
  body: Pick<CertificateRequest, "csr" | "ttlMs" | "impersonated">;
  wantsJson: boolean;
} {
  const type = request.headers["content-type"]?.split(";", 1)[0]?.trim().toLowerCase() ?? "";
  if (type === JSON_TYPE) {
    const { csr, ttlSeconds, impersonatedIdentity } = parseJsonBody(validator, request.body);
    return { body: { csr, ttlMs: millisecondsOf(ttlSeconds), impersonated: impersonatedIdentity }, wantsJson: true };
  }
  if (!Buffer.isBuffer(request.body)) throw new Refusal("bad-request", "the request has no body");
  const wantsJson = request.headers.accept?.includes(JSON_TYPE) === true;
  const ttlMs = millisecondsOf(parseTtl(request.query));
  if (type === DER_TYPE) return { body: { csr: request.body, ttlMs }, wantsJson };
  if (PEM_TYPES.includes(type)) return { body: { csr: request.body.toString("latin1"), ttlMs }, wantsJson };
  throw new Refusal("bad-request", `the content type must be ${[JSON_TYPE, DER_TYPE, ...PEM_TYPES].join(", ")}`);
}

function parseTtl(query: unknown): number | undefined {
  if (typeof query !== "object" || query === null || !("ttlSeconds" in query)) return undefined;
  const text = String(query.ttlSeconds);
  if (!/^[1-9][0-9]{0,9}$/.test(text)) throw new Refusal("bad-request", "ttlSeconds must be a whole number of seconds");
  return Number(text);
}

function millisecondsOf(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1000;
}
