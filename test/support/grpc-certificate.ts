import type { TestContext } from "node:test";
import { createServingCertificate } from "../../src/ca/serving/serving-certificate.ts";
import { systemClock } from "../../src/platform/clock.ts";
import type { ServingCertificate } from "../../src/platform/grpc-server.ts";
import { createLog } from "../../src/platform/log.ts";
import { issueBy, temporaryAuthority } from "./authority.ts";

/** A certificate for these hosts by an authority of the test's own, and that authority's root. */
export async function grpcCertificate(
  t: TestContext,
  hosts: readonly string[],
): Promise<{ readonly certificate: ServingCertificate; readonly rootPem: string }> {
  const { signer, trustBundlePem } = await temporaryAuthority(t, systemClock);
  const serving = createServingCertificate({
    issue: issueBy(signer, systemClock),
    clock: systemClock,
    log: createLog("silent"),
    hosts,
  });
  t.after(() => serving.stop());
  await serving.start();
  const { chainPem, keyPem } = serving.current();
  return {
    certificate: { certPem: chainPem, keyPem: Buffer.from(keyPem.reveal()).toString() },
    rootPem: trustBundlePem,
  };
}
