import type { KeyObject } from "node:crypto";
import type { Hash } from "./signatures.ts";

/** What a thread is asked to do. A key object goes over by reference: OpenSSL's keys are shared by all threads. */
export interface SignatureJob {
  readonly id: number;
  readonly hash: Hash;
  readonly bytes: Uint8Array;
  readonly key: KeyObject | string;
  /** To be verified; where there is none, one is to be made. */
  readonly signature: Uint8Array | undefined;
}

export type SignatureResult =
  | { readonly id: number; readonly value: Uint8Array | boolean }
  | { readonly id: number; readonly error: string };
