import { type Static, Type } from "typebox";
import { Compile } from "typebox/compile";
import type { KubernetesObject } from "./object.ts";
import { resourcePath } from "./resource-path.ts";

const Condition = Type.Object({
  type: Type.String(),
  reason: Type.Optional(Type.String()),
  message: Type.Optional(Type.String()),
});
const Request = Type.Object({
  metadata: Type.Object({
    name: Type.String(),
    uid: Type.Optional(Type.String()),
    resourceVersion: Type.Optional(Type.String()),
    creationTimestamp: Type.Optional(Type.String()),
  }),
  spec: Type.Object({
    /** The PEM of a PKCS #10 request, in base64. */
    request: Type.String(),
    usages: Type.Optional(Type.Array(Type.String())),
    expirationSeconds: Type.Optional(Type.Integer()),
    /** Who made it, as the API server knows it. */
    username: Type.Optional(Type.String()),
    extra: Type.Optional(Type.Record(Type.String(), Type.Array(Type.String()))),
  }),
  status: Type.Optional(
    Type.Object({
      conditions: Type.Optional(Type.Array(Condition)),
      /** A chain in PEM, the leaf first, in base64. */
      certificate: Type.Optional(Type.String()),
    }),
  ),
});
const validator = Compile(Request);

/**
 * A CertificateSigningRequest (certificates.k8s.io/v1), as an API server writes it:
 * https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/
 */
export type CertificateSigningRequest = Static<typeof Request> & { readonly [field: string]: unknown };

/** How far one has come. `refused` is final, by an approver (Denied) or by the signer (Failed). */
export type RequestState =
  | { readonly kind: "pending" | "approved" }
  | { readonly kind: "issued"; readonly chainPem: string }
  | { readonly kind: "refused"; readonly by: "Denied" | "Failed"; readonly why: string };

/** What its two subresources are told. */
export interface RequestCondition {
  readonly type: "Approved" | "Denied" | "Failed";
  /** For programs. */
  readonly reason: string;
  /** For people. */
  readonly message: string;
}

export const CERTIFICATES_API = "certificates.k8s.io/v1";
const ADDRESS = { apiVersion: CERTIFICATES_API, resource: "certificatesigningrequests" } as const;

/** Where all of them are, or one, or how one stands with its approvers or with its signer. */
export function requestPath(name?: string, subresource?: "approval" | "status"): string {
  return resourcePath({
    ...ADDRESS,
    ...(name !== undefined && { name }),
    ...(subresource !== undefined && { subresource }),
  });
}

/** Undefined for what no API server writes. */
export function parseCertificateSigningRequest(object: KubernetesObject): CertificateSigningRequest | undefined {
  return isRequest(object) ? object : undefined;
}

function isRequest(object: unknown): object is CertificateSigningRequest {
  return validator.Check(object);
}

export function stateOf({ status = {} }: CertificateSigningRequest): RequestState {
  const { conditions = [], certificate = "" } = status;
  for (const by of ["Denied", "Failed"] as const) {
    const condition = conditions.find(({ type }) => type === by);
    const why = [condition?.reason, condition?.message].filter(Boolean).join(": ");
    if (condition !== undefined) return { kind: "refused", by, why };
  }
  if (certificate !== "") return { kind: "issued", chainPem: Buffer.from(certificate, "base64").toString("latin1") };
  return { kind: conditions.some(({ type }) => type === "Approved") ? "approved" : "pending" };
}

/** The request with one more condition, to be written to `approval`, or to `status` where it failed. */
export function withCondition(
  request: CertificateSigningRequest,
  condition: RequestCondition,
  now: number,
): CertificateSigningRequest {
  const added = { ...condition, status: "True", lastUpdateTime: new Date(now).toISOString().replace(/\.\d+/, "") };
  const conditions = [...(request.status?.conditions ?? []), added];
  return { ...request, status: { ...request.status, conditions } };
}

/** The request with its certificate, to be written to `status`. */
export function withCertificate(request: CertificateSigningRequest, chainPem: string): CertificateSigningRequest {
  return { ...request, status: { ...request.status, certificate: Buffer.from(chainPem).toString("base64") } };
}
