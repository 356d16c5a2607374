import type { CsrRequest } from "../answer-csr.ts";
import type { IssuedCertificate, SigningMaterial } from "../signer.ts";
import type { ThrownMessage } from "./thrown-message.ts";

/** What a thread is told. Keys go over by reference: OpenSSL's are shared by all threads. */
export type ThreadMessage =
  /** What signs from now on. */
  { readonly material: SigningMaterial } | { readonly jobs: readonly NumberedJob[] };

/** To be answered by the result of the same id. */
export interface NumberedJob extends IssuingJob {
  readonly id: number;
}

export interface IssuingJob extends CsrRequest {
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly maxTtlMs: number;
}

export type IssuingResult =
  | { readonly id: number; readonly issued: IssuedCertificate }
  | { readonly id: number; readonly thrown: ThrownMessage };
