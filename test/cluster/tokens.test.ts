import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { createAuthenticate } from "../../src/ca/caller/authenticate.ts";
import { loadTokenIssuer } from "../../src/ca/jwt/token-issuer.ts";
import { createAuthenticators } from "../../src/control-plane/authenticators.ts";
import { systemClock as clock } from "../../src/platform/clock.ts";
import { createOutboundFetch } from "../../src/platform/outbound-fetch.ts";
import { systemRandom as random } from "../../src/platform/random.ts";
import { temporaryState } from "../support/state.ts";
import { until } from "../support/until.ts";
import { create } from "./create.ts";
import { findKubernetes } from "./programs.ts";
import { adminClient } from "./service-account.ts";
import { startKubernetes, type TestKubernetes } from "./start-kubernetes.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : false;
const SHOP = "/api/v1/namespaces/shop";
const AUDIENCE = "istio-ca";

test("tokens of a real API server's pods", { skip, timeout: 180_000 }, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, found.programs);
  await create(kubernetes, "/api/v1/namespaces", { metadata: { name: "shop" } });
  await create(kubernetes, `${SHOP}/serviceaccounts`, { metadata: { name: "cart" } });

  for (const kind of ["token-review", "kubernetes"] as const) {
    await t.test(`${kind}: a pod's token names its workload until the pod is deleted`, async (t) => {
      const pod = `cart-${kind}`;
      await create(kubernetes, `${SHOP}/pods`, podNamed(pod));
      const { uid } = (await kubernetes.call("GET", `${SHOP}/pods/${pod}`)).body.metadata;
      const authenticate = await authenticatorOf(t, kubernetes, kind, pod);
      const token = await tokenOf(kubernetes, AUDIENCE, { name: pod, uid });
      const identity = await until("the service account to be known", () => authenticate({ token }));
      const account = { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "cart" };
      assert.deepEqual(identity, { ...account, pod: { name: pod, uid } });

      const other = await tokenOf(kubernetes, "api", { name: pod, uid });
      await assert.rejects(authenticate({ token: other }), { code: "unauthenticated" });
      const [header, payload] = token.split(".");
      const forged = `${header}.${payload}.${other.split(".")[2]}`;
      await assert.rejects(authenticate({ token: forged }), { code: "unauthenticated" });

      await kubernetes.call("DELETE", `${SHOP}/pods/${pod}?gracePeriodSeconds=0`);
      const refusal = await until(
        "the refusal",
        () =>
          authenticate({ token }).then(
            () => null,
            (error: { reason?: string }) => error,
          ),
        { timeoutMs: 20_000, everyMs: 200 },
      );
      assert.equal(refusal.reason, kind === "kubernetes" ? "token-unbound" : "token-rejected");
    });
  }
});

/** `pod` is asked for anew with each token, in place of the informer that a control plane has. */
async function authenticatorOf(
  t: TestContext,
  cluster: TestKubernetes,
  kind: "token-review" | "kubernetes",
  pod: string,
) {
  const path = `${SHOP}/pods/${pod}`;
  const read = async () => {
    const { status, body } = await cluster.call("GET", path);
    if (status !== 200) return undefined;
    return { uid: body.metadata.uid, serviceAccount: body.spec.serviceAccountName, node: undefined };
  };
  let known = await read();
  const authenticators = await createAuthenticators([{ kind }], {
    ...{ clock, random, trustDomain: "cluster.local", audiences: [AUDIENCE] },
    issuer: await loadTokenIssuer({ state: await temporaryState(t), clock }),
    kubernetes: await adminClient(t, cluster),
    pod: (namespace, name) => (namespace === "shop" && name === pod ? known : undefined),
    fetch: createOutboundFetch(),
    trustDomainAliases: () => [],
  });
  t.after(() => authenticators.stop());
  const authenticate = createAuthenticate(authenticators.list);
  return async (credentials: { readonly token: string }) => {
    known = await read();
    return authenticate(credentials);
  };
}

async function tokenOf(cluster: TestKubernetes, audience: string, pod: { name: string; uid: string }): Promise<string> {
  const boundObjectRef = { apiVersion: "v1", kind: "Pod", ...pod };
  const { status, body } = await cluster.call("POST", `${SHOP}/serviceaccounts/cart/token`, {
    spec: { audiences: [audience], boundObjectRef },
  });
  assert.equal(status, 201, JSON.stringify(body));
  return body.status.token;
}

function podNamed(name: string) {
  return { metadata: { name }, spec: { serviceAccountName: "cart", containers: [{ name: "app", image: "app" }] } };
}
