import type { NameTable } from "./name-set.ts";
import type { RequestLimits } from "./request.ts";
import type { ProxyResources, TypeUrl } from "./resource-set.ts";
import type { EncodedResponse, ResponseEncoder } from "./response-encoder.ts";
import type { TypeState } from "./type-state.ts";

/** What all streams share. */
export interface StreamDeps {
  readonly table: NameTable;
  readonly encoder: ResponseEncoder;
  readonly limits: Pick<RequestLimits, "maxNames">;
}

/** What a request answered: a response that the proxy accepted or rejected. */
export type Verdict =
  | { readonly kind: "acked"; readonly typeUrl: TypeUrl; readonly version: string }
  | { readonly kind: "rejected"; readonly typeUrl: TypeUrl; readonly version: string; readonly message: string };

/** One stream's protocol, without its socket. `R` is the protocol's request. */
export interface StreamState<R> {
  /** Answers what the proxy thereby accepts or rejects, if anything. Throws what is to end the stream. */
  request(request: R): Verdict | null;
  change(resources: ProxyResources): void;
  /** To be called once a new stream has had time for its first requests: what it has not asked for is not to come. */
  release(): void;
  /** The next response, taken as sent. To be asked after each request, change and finished write. */
  next(): EncodedResponse | null;
  /** Whether everything was sent and answered; meaningful when `next` has answered null. */
  readonly settled: boolean;
  readonly types: readonly TypeState[];
}

/** Settles the response that a request answers. */
export function settle(type: TypeState, error: string | null): Verdict {
  const { typeUrl, sentVersion: version } = type;
  type.answered(error);
  return error === null ? { kind: "acked", typeUrl, version } : { kind: "rejected", typeUrl, version, message: error };
}
