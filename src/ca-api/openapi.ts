import { CertificateAnswer, CertificateBody, ErrorAnswer, JwtSvidAnswer, JwtSvidBody } from "./api-schemas.ts";

const text = { type: "string" };
const json = (schema: object) => ({ "application/json": { schema } });
const refusals = (codes: Readonly<Record<string, string>>) =>
  Object.fromEntries(
    Object.entries(codes).map(([code, description]) => [code, { description, content: json(ErrorAnswer) }]),
  );
const REFUSED = {
  "400": "no request that can be answered, or a parameter in the URL that is not known",
  "401": "no proof of who is asking",
  "403": "an identity that is revoked, or that the caller may not ask for, or that an external signer denies",
  "413": "too large",
  "415": "a body of another content type",
  "429": "too many requests wait already: ask again after Retry-After",
  "503": "who the caller is cannot be found out, or an external signer does not sign, at this time",
};
const query = (name: string, schema: object, description: string) => ({ name, in: "query", schema, description });

/** The HTTP API as an OpenAPI 3.1 document. */
export function buildOpenApi(): { readonly openapi: string; readonly paths: Readonly<Record<string, object>> } {
  const credentials = [{ token: [] }, { clientCertificate: [] }];
  const document = {
    openapi: "3.1.0",
    info: { title: "Trysail certificate authority", version: "1" },
    paths: {
      "/v1/certificates": {
        post: {
          summary: "Issues an X.509-SVID for the caller",
          security: credentials,
          parameters: [
            query("ttlSeconds", { type: "integer", minimum: 1 }, "for other bodies than JSON, which has it itself"),
          ],
          requestBody: {
            required: true,
            content: {
              ...json(CertificateBody),
              "application/pkcs10": { schema: { ...text, contentEncoding: "binary" } },
              "application/x-pem-file": { schema: text },
              "text/plain": { schema: text },
              "application/x-www-form-urlencoded": { schema: text },
            },
          },
          responses: {
            "200": {
              description: "the certificate",
              content: { ...json(CertificateAnswer), "application/pem-certificate-chain": { schema: text } },
            },
            ...refusals(REFUSED),
          },
        },
      },
      "/v1/jwt-svids": {
        post: {
          summary: "Issues a JWT-SVID for the caller",
          security: credentials,
          requestBody: { required: true, content: json(JwtSvidBody) },
          responses: {
            "200": { description: "the token", content: json(JwtSvidAnswer) },
            ...refusals(REFUSED),
          },
        },
      },
      "/v1/trust-bundle": {
        get: {
          summary: "The roots, and the keys of JWT-SVIDs, that peers must accept",
          parameters: [query("format", { enum: ["pem", "spiffe"] }, "goes before Accept; PEM by default")],
          responses: {
            "200": {
              description: "the bundle, with an ETag; max-age says when to look again",
              content: { "application/x-pem-file": { schema: text }, ...json({ type: "object" }) },
            },
            "304": { description: "still the one that If-None-Match names" },
            ...refusals({ "400": "a format, or a parameter in the URL, that is not known" }),
          },
        },
      },
      "/v1/openapi.json": {
        get: {
          summary: "This document",
          responses: {
            "200": { description: "OpenAPI 3.1", content: json({ type: "object" }) },
            ...refusals({ "400": "a parameter in the URL: there is none" }),
          },
        },
      },
    },
    components: {
      securitySchemes: {
        token: { type: "http", scheme: "bearer", description: "a workload token" },
        clientCertificate: { type: "mutualTLS", description: "a certificate of this mesh, to be renewed" },
      },
    },
  };
  return document;
}
