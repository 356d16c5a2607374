import type { TestContext } from "node:test";
import { loadAuthority } from "../../src/ca/authority/authority.ts";
import { createFolderStore } from "../../src/ca/authority/authority-folder-store.ts";
import type { Signer } from "../../src/ca/signer.ts";
import type { Clock } from "../../src/platform/clock.ts";
import { createLog } from "../../src/platform/log.ts";
import { systemRandom } from "../../src/platform/random.ts";
import { temporaryState } from "./state.ts";

/** An authority as it is at one moment. */
export interface TemporaryAuthority {
  readonly signer: Signer;
  readonly rootCertificatePem: string;
  readonly trustBundlePem: string;
}

/** A real authority in a state folder of the test's own, which nothing rotates. */
export async function temporaryAuthority(
  t: TestContext,
  clock: Clock,
  trustDomain = "cluster.local",
): Promise<TemporaryAuthority> {
  const store = createFolderStore({ state: await temporaryState(t), trustDomain });
  const authority = await loadAuthority({ store, clock, random: systemRandom, trustDomain, log: createLog("silent") });
  const trustBundlePem = authority.trustBundlePem();
  return { signer: authority.signer(), rootCertificatePem: trustBundlePem, trustBundlePem };
}
