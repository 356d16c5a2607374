import type { CertificateRequest, Certified } from "../ca/certify.ts";
import type { WorkloadIdentity } from "../ca/identity.ts";
import { loggedCause, Refusal } from "../ca/refusal.ts";
import type { Clock } from "../platform/clock.ts";
import { messageOf, TrysailError } from "../platform/errors.ts";
import type { Logger } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import {
  type CertificateSigningRequest,
  requestPath,
  stateOf,
  withCertificate,
  withCondition,
} from "./certificate-request.ts";
import type { KubernetesClient } from "./client.ts";
import { followRequests } from "./followed-requests.ts";
import { assertApprovable, requesterOf } from "./request-policy.ts";

/** Certifies whom `authenticate` answers, by the same steps as every other caller. */
export type CertifyRequester = (
  authenticate: () => Promise<WorkloadIdentity>,
  request: Omit<CertificateRequest, "credentials">,
) => Promise<Certified>;

export interface CertificateSignerDeps {
  readonly client: Pick<KubernetesClient, "list" | "watch" | "replace">;
  readonly clock: Clock;
  readonly random: Pick<Random, "fraction">;
  readonly log: Logger;
  /** Requests of other names are not even read. */
  readonly signerName: string;
  /** Whether requests for the requester's own identity are approved here, and others denied; else somebody else does. */
  readonly approves: boolean;
  readonly trustDomain: string;
  readonly certify: CertifyRequester;
  readonly metrics: { refused(reason: string): void };
}

const AT_ONCE = 8;
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 60_000;
/** What asking again would not change. */
const FINAL = ["invalid-argument", "unauthenticated", "permission-denied"];

/**
 * The signer of `certificates.k8s.io` for one signerName. Each step, approval or denial and then the certificate or a
 * failure, is decided by what is written in the request alone, and written under its resourceVersion: so another leader
 * goes on where this one stopped, and what people approve or deny meanwhile holds. Returns the stop.
 */
export function createCertificateSigner(deps: CertificateSignerDeps): () => void {
  const { client, clock, log, signerName } = deps;
  const due = new Map<string, CertificateSigningRequest>();
  const busy = new Set<string>();
  /** Deleted while they were worked on: nothing more is to be known of them. */
  const gone = new Set<string>();
  const failures = new Map<string, number>();
  const cancelRetries = new Map<string, () => void>();
  let stopped = false;

  const see = (request: CertificateSigningRequest): void => {
    const { name } = request.metadata;
    const state = stateOf(request).kind;
    if (state === "issued" || state === "refused") forget(name);
    else if (state === "approved" || deps.approves) due.set(name, request);
    work();
  };

  const forget = (name: string): void => {
    cancelRetries.get(name)?.();
    for (const known of [due, failures, cancelRetries]) known.delete(name);
  };

  const work = (): void => {
    for (const [name, request] of due) {
      if (stopped || busy.size >= AT_ONCE) return;
      if (busy.has(name) || cancelRetries.has(name)) continue;
      due.delete(name);
      busy.add(name);
      void step(request).finally(() => {
        busy.delete(name);
        gone.delete(name);
        work();
      });
    }
  };

  const step = async (request: CertificateSigningRequest): Promise<void> => {
    try {
      await (stateOf(request).kind === "pending" ? judge(request) : sign(request));
      failures.delete(request.metadata.name);
    } catch (error) {
      // Somebody else has written it, or taken it away: an event says so.
      if (error instanceof TrysailError && ["aborted", "not-found"].includes(error.code)) return;
      if (!gone.has(request.metadata.name)) retry(request, error);
    }
  };

  const retry = (request: CertificateSigningRequest, error: unknown): void => {
    const { name } = request.metadata;
    const failed = failures.get(name) ?? 0;
    const retryMs = Math.min(FIRST_RETRY_MS * 2 ** failed, LONGEST_RETRY_MS);
    log.warn(
      { request: name, retryMs, reason: messageOf(error) },
      "a CertificateSigningRequest could not be worked on",
    );
    if (stopped) return;
    failures.set(name, failed + 1);
    if (!due.has(name)) due.set(name, request);
    const cancel = clock.after(retryMs, () => {
      cancelRetries.delete(name);
      work();
    });
    cancelRetries.set(name, cancel);
  };

  const judge = async (request: CertificateSigningRequest): Promise<void> => {
    const { name } = request.metadata;
    const path = requestPath(name, "approval");
    try {
      await assertApprovable(request, { trustDomain: deps.trustDomain, now: clock.now() });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const { reason, message } = error;
      await client.replace(path, withCondition(request, { type: "Denied", reason, message }, clock.now()));
      deps.metrics.refused(reason);
      const requester = request.spec.username;
      const denied = { protocol: "kubernetes", peer: name, requester, reason, ...loggedCause(error) };
      log.warn(denied, "certificate request denied");
      return;
    }
    const message = "a service account asks for its own identity";
    await client.replace(
      path,
      withCondition(request, { type: "Approved", reason: "own-identity", message }, clock.now()),
    );
  };

  const sign = async (request: CertificateSigningRequest): Promise<void> => {
    const { metadata, spec } = request;
    const path = requestPath(metadata.name, "status");
    let chainPem: string;
    try {
      const certified = await deps.certify(async () => requesterOf(request, deps.trustDomain), {
        csr: Buffer.from(spec.request, "base64").toString("latin1"),
        ttlMs: spec.expirationSeconds === undefined ? undefined : spec.expirationSeconds * 1000,
        audit: { protocol: "kubernetes", peer: metadata.name, certSigner: signerName },
      });
      chainPem = certified.chainPem;
    } catch (error) {
      if (!(error instanceof Refusal) || !FINAL.includes(error.code)) throw error;
      const { reason, message } = error;
      await client.replace(path, withCondition(request, { type: "Failed", reason, message }, clock.now()));
      return;
    }
    await client.replace(path, withCertificate(request, chainPem));
  };

  const stopFollowing = followRequests({
    ...deps,
    onRequest: see,
    onGone(name) {
      if (busy.has(name)) gone.add(name);
      forget(name);
    },
  });
  return () => {
    stopped = true;
    for (const cancel of cancelRetries.values()) cancel();
    stopFollowing();
  };
}
