import type { Clock } from "../../platform/clock.ts";
import type { WorkloadIdentity } from "../identity.ts";
import { Refusal } from "../refusal.ts";
import type { SigningQueue } from "../signing-queue.ts";
import { isDnsSubdomain } from "../x509/dns-names.ts";
import type { Authenticator } from "./authenticate.ts";
import { createTokenCache } from "./token-cache.ts";
import { isUid, parseSubject } from "./workload-claims.ts";

/** `status` of a TokenReview (authentication.k8s.io/v1), as the API server answers it. */
export interface TokenReviewStatus {
  readonly authenticated?: boolean;
  readonly error?: string;
  readonly audiences?: readonly string[];
  readonly user?: {
    readonly username?: string;
    readonly extra?: Readonly<Record<string, readonly string[]>>;
  };
}

export interface TokenReviewsDeps {
  /** Asks the API server. */
  review(token: string, audiences: readonly string[]): Promise<TokenReviewStatus>;
  readonly audiences: readonly string[];
  readonly trustDomain: string;
  /**
   * Bounds how many reviews are asked for at one time, and how many may wait, by the address that asks: until the answer
   * nothing else is known of it, and tokens are easily made up.
   */
  readonly queue: Pick<SigningQueue, "run">;
  readonly clock: Pick<Clock, "now">;
}

/** How long a deleted pod's token can go on being accepted. */
const REMEMBERED_MS = 10_000;
const REMEMBERED_TOKENS = 20_000;
const POD_NAME = "authentication.kubernetes.io/pod-name";
const POD_UID = "authentication.kubernetes.io/pod-uid";

/** Authenticates any token by asking the cluster's API server, which knows of every way in which one can end. */
export function createTokenReviews(deps: TokenReviewsDeps): Authenticator {
  // Accepted ones alone: however many tokens fail, none that holds is forgotten for them.
  const accepted = createTokenCache<WorkloadIdentity>({ clock: deps.clock, maxEntries: REMEMBERED_TOKENS });
  const asking = new Map<string, Promise<WorkloadIdentity>>();

  async function ask(text: string, address: string): Promise<WorkloadIdentity> {
    try {
      const identity = await deps.queue.run(address, () => reviewed(deps, text));
      accepted.set(text, identity, deps.clock.now() + REMEMBERED_MS);
      return identity;
    } finally {
      asking.delete(text);
    }
  }

  return {
    name: "token-review",
    authenticate({ token, address }) {
      if (token === undefined) return null;
      const { text } = token;
      const known = accepted.get(text);
      if (known !== undefined) return Promise.resolve(known);
      // Those that ask at once share one review.
      const asked = asking.get(text) ?? ask(text, address);
      asking.set(text, asked);
      return asked;
    },
  };
}

async function reviewed(deps: TokenReviewsDeps, token: string): Promise<WorkloadIdentity> {
  const status = await deps.review(token, deps.audiences).catch((cause: unknown) => {
    throw new Refusal("issuer-unavailable", "tokens cannot be verified at this time", { cause });
  });
  if (status.authenticated !== true) {
    throw new Refusal("token-rejected", "token was rejected by the cluster", { cause: new Error(status.error ?? "") });
  }
  // An API server that knows no audiences answers none, and then has checked none.
  if (!deps.audiences.some((audience) => status.audiences?.includes(audience))) {
    throw new Refusal("token-wrong-audience", "token has another audience");
  }
  const account = parseSubject(status.user?.username);
  if (account === undefined) {
    const cause = new Error(`token of ${JSON.stringify(status.user?.username)}`);
    throw new Refusal("token-no-workload", "token does not name a workload", { cause });
  }
  const [name, uid] = [status.user?.extra?.[POD_NAME]?.[0], status.user?.extra?.[POD_UID]?.[0]];
  const pod =
    name !== undefined && uid !== undefined && isDnsSubdomain(name) && isUid(uid) ? { pod: { name, uid } } : {};
  return { trustDomain: deps.trustDomain, ...account, ...pod };
}
