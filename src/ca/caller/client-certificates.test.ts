import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { type TestContext, test } from "node:test";
import { temporaryAuthority } from "../../../test/support/authority.ts";
import { identityOf } from "../../../test/support/caller.ts";
import { systemClock } from "../../platform/clock.ts";
import { createClientCertificates } from "./client-certificates.ts";

const account = { namespace: "shop", serviceAccount: "cart" };

async function authenticated(t: TestContext, trustDomain: string) {
  const { chainPem } = await identityOf(await temporaryAuthority(t, systemClock), { ...account, trustDomain });
  const clock = systemClock;
  const authenticator = createClientCertificates({
    ...{ trustDomain: "cluster.local", clock, trustDomainAliases: () => ["old.example"] },
  });
  return authenticator.authenticate({
    token: undefined,
    clusterId: undefined,
    address: "",
    clientCertificate: () => new X509Certificate(chainPem),
  });
}

for (const trustDomain of ["cluster.local", "old.example"]) {
  test(`who has a certificate of ${trustDomain} is the workload of that path in the mesh's own domain`, async (t) => {
    assert.deepEqual(await authenticated(t, trustDomain), { ...account, trustDomain: "cluster.local" });
  });
}

test("a certificate of a trust domain that is no alias is refused", async (t) => {
  await assert.rejects(authenticated(t, "other.example"), /is of another trust domain/);
});
