import { Refusal } from "../ca/refusal.ts";
import type { Clock } from "../platform/clock.ts";
import { messageOf, TrysailError } from "../platform/errors.ts";
import type { Logger } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import {
  CERTIFICATES_API,
  type CertificateSigningRequest,
  requestPath,
  stateOf,
  withCondition,
} from "./certificate-request.ts";
import type { KubernetesClient } from "./client.ts";
import { followRequests } from "./followed-requests.ts";
import { WORKLOAD_USAGES } from "./request-policy.ts";

export interface ExternalSignerDeps {
  readonly client: Pick<KubernetesClient, "list" | "watch" | "create" | "replace" | "delete">;
  readonly clock: Clock;
  readonly random: Pick<Random, "bytes" | "fraction">;
  readonly log: Logger;
  readonly signerName: string;
  /** Whether what is asked for here is approved here too. */
  readonly approves: boolean;
}

export interface ExternalSigner {
  /**
   * Has a PKCS #10 request (PEM) signed; answers the chain as the signer wrote it, which nobody has verified. `purpose`
   * is for people. Rejects with a Refusal: denied, failed, or not answered within half a minute.
   */
  sign(request: { readonly csrPem: string; readonly purpose: string; readonly ttlMs: number }): Promise<string>;
  stop(): void;
}

const WAIT_MS = 30_000;
/** The API server takes no less. */
const SHORTEST_LIFE_SECONDS = 600;
const PURPOSE = "trysail.io/purpose";

/** Asks a signer of `certificates.k8s.io` by an object for each certificate, which is deleted behind the answer. */
export function createExternalSigner(deps: ExternalSignerDeps): ExternalSigner {
  const { client, clock, log, signerName } = deps;
  const waiting = new Map<string, PromiseWithResolvers<string>>();

  const see = (request: CertificateSigningRequest): void => {
    const waiter = waiting.get(request.metadata.name);
    if (waiter === undefined) return;
    const state = stateOf(request);
    if (state.kind === "issued") waiter.resolve(state.chainPem);
    if (state.kind === "pending" && deps.approves) approve(request).catch(waiter.reject);
    if (state.kind !== "refused") return;
    const cause = new Error(`${request.metadata.name} is ${state.by}: ${state.why}`);
    waiter.reject(
      state.by === "Denied"
        ? new Refusal("signer-denied", `the request was denied to ${signerName}`, { cause })
        : new Refusal("signer-failed", `${signerName} did not sign`, { cause }),
    );
  };

  const approve = async (request: CertificateSigningRequest): Promise<void> => {
    const message = "asked for by the mesh, for a caller with proof of who it is";
    const approved = withCondition(request, { type: "Approved", reason: "authenticated", message }, clock.now());
    try {
      await client.replace(requestPath(request.metadata.name, "approval"), approved);
    } catch (error) {
      // Somebody else has decided, or it is gone: an event says so.
      if (error instanceof TrysailError && ["aborted", "not-found"].includes(error.code)) return;
      throw unavailable(`${signerName} cannot be asked at this time`, error);
    }
  };

  const remove = (name: string): void => {
    client.delete(requestPath(name)).catch((error: unknown) => {
      if (error instanceof TrysailError && error.code === "not-found") return;
      log.warn({ request: name, reason: messageOf(error) }, "a CertificateSigningRequest that is done stays behind");
    });
  };

  const stopFollowing = followRequests({
    ...deps,
    onRequest: see,
    onGone: (name) => waiting.get(name)?.reject(unavailable("the request was deleted by others")),
  });

  return {
    async sign({ csrPem, purpose, ttlMs }) {
      const name = `trysail-${Buffer.from(deps.random.bytes(12)).toString("hex")}`;
      const answer = Promise.withResolvers<string>();
      waiting.set(name, answer);
      const cancel = clock.after(WAIT_MS, () =>
        answer.reject(unavailable(`${signerName} has not answered within ${WAIT_MS / 1000} s`)),
      );
      const object = {
        apiVersion: CERTIFICATES_API,
        kind: "CertificateSigningRequest",
        metadata: { name, annotations: { [PURPOSE]: purpose } },
        spec: {
          request: Buffer.from(csrPem).toString("base64"),
          signerName,
          usages: WORKLOAD_USAGES,
          expirationSeconds: Math.max(Math.ceil(ttlMs / 1000), SHORTEST_LIFE_SECONDS),
        },
      };
      const created = client.create(requestPath(), object).catch((error: unknown) => {
        answer.reject(unavailable(`${signerName} cannot be asked at this time`, error));
      });
      try {
        return await answer.promise;
      } finally {
        cancel();
        waiting.delete(name);
        // Also where it is not known whether it was created.
        void created.then(() => remove(name));
      }
    },
    stop() {
      stopFollowing();
      for (const { reject } of waiting.values()) reject(unavailable("the control plane stops"));
    },
  };
}

function unavailable(message: string, cause?: unknown): Refusal {
  return new Refusal("signer-unavailable", message, { cause });
}
