import { loadAuthority } from "../../src/ca/authority/authority.ts";
import { createFolderStore } from "../../src/ca/authority/authority-folder-store.ts";
import { issueServing } from "../../src/ca/issue.ts";
import type { ServingCertificateDeps } from "../../src/ca/serving/serving-certificate.ts";
import type { Signer } from "../../src/ca/signer.ts";
import type { Clock } from "../../src/platform/clock.ts";
import { createLog } from "../../src/platform/log.ts";
import { systemRandom } from "../../src/platform/random.ts";
import type { Cleanup } from "./cleanup.ts";
import { temporaryState } from "./state.ts";

const DAY_MS = 86_400_000;

/** What a serving certificate asks, answered by one signer. */
export function issueBy(signer: Signer, clock: Pick<Clock, "now">): ServingCertificateDeps["issue"] {
  return (request) => issueServing({ signer, clock, maxTtlMs: DAY_MS }, request);
}

/** An authority as it is at one moment. */
export interface TemporaryAuthority {
  readonly signer: Signer;
  readonly rootCertificatePem: string;
  readonly trustBundlePem: string;
}

/** A real authority in a state folder of the test's own, which nothing rotates. */
export async function temporaryAuthority(
  t: Cleanup,
  clock: Clock,
  trustDomain = "cluster.local",
): Promise<TemporaryAuthority> {
  const store = createFolderStore({ state: await temporaryState(t), trustDomain });
  const authority = await loadAuthority({ store, clock, random: systemRandom, trustDomain, log: createLog("silent") });
  const trustBundlePem = authority.trustBundlePem();
  return { signer: authority.signer(), rootCertificatePem: trustBundlePem, trustBundlePem };
}
