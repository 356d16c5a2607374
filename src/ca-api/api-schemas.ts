import Type, { type Static } from "typebox";

/** Bodies of the authority's HTTP API: validators, types and the OpenAPI document all come from these. */

export const CertificateBody = Type.Object(
  {
    csr: Type.String({ description: "PKCS #10 request in PEM; its key becomes the certificate's" }),
    ttlSeconds: Type.Optional(
      Type.Integer({ minimum: 1, description: "how long the certificate should live; cut to what the mesh allows" }),
    ),
    impersonatedIdentity: Type.Optional(
      Type.String({
        maxLength: 2048,
        description: "for trusted node agents: the SPIFFE id of a workload on the same node",
      }),
    ),
  },
  { additionalProperties: false },
);
export type CertificateBody = Static<typeof CertificateBody>;

export const CertificateAnswer = Type.Object({
  spiffeId: Type.String(),
  serialNumber: Type.String({ description: "in hexadecimal digits" }),
  notAfter: Type.String({ format: "date-time" }),
  certificateChain: Type.String({ description: "PEM: the leaf, then any intermediates" }),
  trustBundle: Type.String({ description: "PEM: every root that peers must accept" }),
});

export const JwtSvidBody = Type.Object(
  {
    audience: Type.Array(Type.String({ minLength: 1, maxLength: 1024 }), { minItems: 1, maxItems: 16 }),
    ttlSeconds: Type.Optional(Type.Integer({ minimum: 1, description: "five minutes by default, an hour at most" })),
  },
  { additionalProperties: false },
);
export type JwtSvidBody = Static<typeof JwtSvidBody>;

export const JwtSvidAnswer = Type.Object({
  spiffeId: Type.String(),
  token: Type.String(),
  notAfter: Type.String({ format: "date-time" }),
});

export const ErrorAnswer = Type.Object({
  error: Type.String({ description: "for people" }),
  reason: Type.Optional(Type.String({ description: "for programs: the reason by which metrics count it" })),
});
