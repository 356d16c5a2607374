import type { Clock } from "../platform/clock.ts";
import { messageOf, TrysailError } from "../platform/errors.ts";
import type { Logger } from "../platform/log.ts";
import type { KubernetesClient } from "./client.ts";
import { reviewToken } from "./review-token.ts";

export interface AwaitTokenReviewsDeps {
  readonly client: Pick<KubernetesClient, "create">;
  readonly clock: Pick<Clock, "after">;
  readonly log: Pick<Logger, "error">;
  waitFor(reason: () => string): void;
}

const AGAIN_MS = 2000;
/** Nobody's: what is asked is whether one may ask. */
const NO_TOKEN = "none";
const MISSING = "the control plane may not create tokenreviews: grant it the verb in its ClusterRole";

/**
 * Waits until tokens may be reviewed. A control plane that may not refuses every proxy, and one that took the place of another would
 * end the mesh's streams for nothing. Any other trouble is for who shows a token.
 */
export async function awaitTokenReviews({ client, clock, log, waitFor }: AwaitTokenReviewsDeps): Promise<void> {
  for (let told = false; ; told = true) {
    try {
      await reviewToken(client, NO_TOKEN, []);
      return;
    } catch (error) {
      if (!(error instanceof TrysailError) || error.code !== "permission-denied") return;
      waitFor(() => MISSING);
      if (!told)
        log.error({ reason: messageOf(error) }, `${MISSING}; until then no proxy is let in, and nothing is served`);
    }
    await new Promise<void>((resolve) => void clock.after(AGAIN_MS, resolve));
  }
}
