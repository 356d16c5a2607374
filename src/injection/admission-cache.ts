import { RecentMap } from "../platform/recent-map.ts";
import { sameMembers } from "../platform/same-members.ts";
import type { Admission, AdmitDeps } from "./admit.ts";
import { isForOnePod, type ReviewKey } from "./review-key.ts";

/** What was made of a review. */
export interface Reviewed {
  readonly admission: Admission;
  /** As the request says; empty where it does not. */
  readonly namespace: string;
  readonly dryRun: boolean;
  /** Whether the answer was at hand. */
  readonly reused: boolean;
}

interface Entry {
  readonly reviewed: Reviewed;
  /** What decided, beside the review. */
  readonly surroundings: readonly unknown[];
}

/** Some hundreds of patches. */
const MAX_CHARACTERS = 4_000_000;
const MAX_SEEN = 4096;

/**
 * Remembers which patch a pod got. Of a ReplicaSet's pods each is asked about in a text that is the same but for what
 * `readReviewKey` leaves out, and to decide, plan and compare anew would be most of what a review takes.
 *
 * An answer holds while the text is the same, and the settings, the namespace and its ProxyConfigs are the same objects
 * (===): that is all that `admit` looks at.
 */
export class AdmissionCache {
  readonly #entries = new RecentMap<Entry>(MAX_CHARACTERS);
  /** An answer is kept from the second time on that the same is asked: most that is asked but once would be in the way. */
  readonly #seen = new RecentMap<true>(MAX_SEEN);
  find({ key, uid }: ReviewKey, deps: AdmitDeps): Reviewed | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    const { admission, namespace, dryRun } = entry.reviewed;
    if (!sameMembers(entry.surroundings, surroundingsOf(namespace, deps))) return undefined;
    return { admission: { ...admission, response: { ...admission.response, uid } }, namespace, dryRun, reused: true };
  }

  /** Only what was injected: to leave a pod alone is decided soon, and a refusal is better looked at anew. */
  keep({ key }: ReviewKey, reviewed: Reviewed, deps: AdmitDeps): void {
    const { admission, namespace } = reviewed;
    const { response } = admission;
    if (admission.outcome !== "injected" || namespace === "" || !("patch" in response)) return;
    if (this.#seen.get(key) === undefined) {
      this.#seen.set(key, true, 1);
      return;
    }
    const patch = response.patch ?? "";
    if (isForOnePod(Buffer.from(patch, "base64"))) return;
    this.#entries.set(key, { reviewed, surroundings: surroundingsOf(namespace, deps) }, patch.length);
  }
}

function surroundingsOf(namespace: string, deps: AdmitDeps): readonly unknown[] {
  const { config, namespaceOf, formerNamespaceOf, proxyConfigsFor } = deps;
  return [config, namespaceOf(namespace), formerNamespaceOf?.(namespace), proxyConfigsFor?.(namespace)];
}
