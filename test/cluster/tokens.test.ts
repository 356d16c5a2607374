import assert from "node:assert/strict";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { type TestContext, test } from "node:test";
import { createAuthenticate } from "../../src/ca/caller/authenticate.ts";
import type { AuthenticatorConfig } from "../../src/ca/caller/authenticator-config.ts";
import type { BoundPod } from "../../src/ca/caller/kubernetes-tokens.ts";
import { createTokenReviews } from "../../src/ca/caller/token-review.ts";
import { loadTokenIssuer } from "../../src/ca/jwt/token-issuer.ts";
import { createSigningQueue } from "../../src/ca/signing-queue.ts";
import { createAuthenticators } from "../../src/control-plane/authenticators.ts";
import { reviewToken } from "../../src/kubernetes/review-token.ts";
import { systemClock as clock } from "../../src/platform/clock.ts";
import { createLog } from "../../src/platform/log.ts";
import { createOutboundFetch } from "../../src/platform/outbound-fetch.ts";
import { systemRandom as random } from "../../src/platform/random.ts";
import { temporaryAuthority } from "../support/authority.ts";
import { type TestControlPlane, testControlPlane } from "../support/control-plane.ts";
import { buildCsr } from "../support/csr.ts";
import { postCertificateRequest } from "../support/post-certificate-request.ts";
import { refusals } from "../support/refusals.ts";
import { temporaryPath, temporaryState } from "../support/state.ts";
import { until } from "../support/until.ts";
import { create } from "./create.ts";
import { findKubernetes } from "./programs.ts";
import { adminClient } from "./service-account.ts";
import { startKubernetes, type TestKubernetes } from "./start-kubernetes.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : false;
const SHOP = "/api/v1/namespaces/shop";
const AUDIENCE = "istio-ca";
const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });

/** Each ends the token of a pod `name` with an account of that name. */
const ENDS: Readonly<Record<string, (cluster: TestKubernetes, name: string) => Promise<void>>> = {
  "deleted-pod": deletePod,
  async "recreated-pod"(cluster, name) {
    await deletePod(cluster, name);
    await create(cluster, `${SHOP}/pods`, podNamed(name));
  },
  "deleted-account": deleteAccount,
  async "recreated-account"(cluster, name) {
    await deleteAccount(cluster, name);
    await create(cluster, `${SHOP}/serviceaccounts`, { metadata: { name } });
  },
};

test("tokens of a real API server's pods", { skip, timeout: 180_000 }, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, { ...found.programs, isOpenIdIssuer: true });
  for (const name of ["shop", "trysail-system"]) {
    await create(kubernetes, "/api/v1/namespaces", { metadata: { name } });
  }

  for (const kind of ["token-review", "kubernetes"] as const) {
    await t.test(`${kind}: a token names its workload until its pod or its account is another one`, async (t) => {
      const authenticate = await authenticatorOf(t, kubernetes, { kind });
      const workloads = await Promise.all(
        Object.entries(ENDS).map(async ([title, end]) => {
          const name = `${title}-${kind}`;
          const pod = await startPod(kubernetes, name);
          const token = await tokenOf(kubernetes, AUDIENCE, pod);
          const identity = await until("the service account to be known", () => authenticate({ token }));
          const account = { trustDomain: "cluster.local", namespace: "shop", serviceAccount: name };
          assert.deepEqual(identity, { ...account, pod });
          return { title, name, end, token };
        }),
      );
      await Promise.all(
        workloads.map(async ({ title, name, end, token }) => {
          await end(kubernetes, name);
          const refusal = await until(`the refusal of the ${title}'s`, () => refusalOf(authenticate({ token })), {
            timeoutMs: 20_000,
            everyMs: 200,
          });
          assert.equal(refusal.reason, kind === "kubernetes" ? "token-unbound" : "token-rejected", title);
        }),
      );
    });

    await t.test(`${kind}: a token for somebody else, and one that was pieced together, are refused`, async (t) => {
      const authenticate = await authenticatorOf(t, kubernetes, { kind });
      const pod = await startPod(kubernetes, `cart-${kind}`);
      const token = await tokenOf(kubernetes, AUDIENCE, pod);
      await until("the service account to be known", () => authenticate({ token }));
      const other = await tokenOf(kubernetes, "api", pod);
      await assert.rejects(authenticate({ token: other }), { code: "unauthenticated" });
      const [header, payload] = token.split(".");
      const forged = `${header}.${payload}.${other.split(".")[2]}`;
      await assert.rejects(authenticate({ token: forged }), { code: "unauthenticated" });
    });
  }

  for (const { kind, reason } of [
    { kind: "token-review", reason: "token-rejected" },
    { kind: "kubernetes", reason: "token-unbound" },
  ] as const) {
    await t.test(
      `${kind}: a control plane issues by a pod's token until the pod is deleted, and counts what it refuses`,
      async (t) => {
        const source = { kind: "kubeconfig", path: kubernetes.kubeconfig } as const;
        const mesh = await testControlPlane(t, {}, { source, authenticators: [{ kind }] });
        const [name, early] = [`served-${kind}`, `early-${kind}`];
        const pod = await startPod(kubernetes, name);
        const token = await tokenOf(kubernetes, AUDIENCE, pod);
        const other = await tokenOf(kubernetes, "api", await startPod(kubernetes, early));
        const answer = await until("the pod to be known", async () => {
          const { status, body } = await askFor(mesh, token);
          return status === 200 ? body : undefined;
        });
        assert.equal(new X509Certificate(answer).subjectAltName, `URI:spiffe://cluster.local/ns/shop/sa/${name}`);
        const before = await refusals(mesh);
        const refused = async (bad: string) => JSON.parse((await askFor(mesh, bad)).body).reason;
        const wrongAudience = kind === "kubernetes" ? "token-wrong-audience" : "token-rejected";
        assert.equal(await refused(other), wrongAudience);
        assert.equal((await refusals(mesh)).get(wrongAudience), (before.get(wrongAudience) ?? 0) + 1);

        await deletePod(kubernetes, name);
        const told = await until(
          "the refusal of the deleted pod's",
          async () => {
            const { status, body } = await askFor(mesh, token);
            return status === 200 ? undefined : { status, reason: JSON.parse(body).reason };
          },
          { timeoutMs: 20_000, everyMs: 200 },
        );
        assert.deepEqual(told, { status: 401, reason });
        assert.ok(((await refusals(mesh)).get(reason) ?? 0) > 0);
      },
    );
  }

  await t.test(
    "oidc: an API server whose certificate is under a root of its own is an issuer like any other",
    async (t) => {
      await create(kubernetes, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
        metadata: { name: "anyone-may-discover" },
        roleRef: {
          apiGroup: "rbac.authorization.k8s.io",
          kind: "ClusterRole",
          name: "system:service-account-issuer-discovery",
        },
        subjects: [{ kind: "Group", name: "system:unauthenticated", apiGroup: "rbac.authorization.k8s.io" }],
      });
      const token = await tokenOf(kubernetes, AUDIENCE, await startPod(kubernetes, "cart-oidc"));
      const caFile = await temporaryPath(t, "issuer-roots.pem");
      const oidc = { kind: "oidc", issuer: kubernetes.url, caFile } as const;
      await assert.rejects(authenticatorOf(t, kubernetes, oidc), { code: "invalid-argument", message: /issuer-roots/ });
      await writeFile(caFile, (await temporaryAuthority(t, clock)).rootCertificatePem);
      const authenticate = await authenticatorOf(t, kubernetes, oidc);
      await assert.rejects(authenticate({ token }), { reason: "issuer-unavailable" });
      await writeFile(caFile, kubernetes.rootPem);
      const identity = await until("its keys", () => authenticate({ token }));
      assert.deepEqual([identity.namespace, identity.serviceAccount], ["shop", "cart-oidc"]);
    },
  );

  await t.test("token-review: only so many reviews are asked for at one time, and may wait", async (t) => {
    const pod = await startPod(kubernetes, "many");
    const client = await adminClient(t, kubernetes);
    const tokens = await Promise.all(Array.from({ length: 10 }, () => tokenOf(kubernetes, AUDIENCE, pod)));
    let [now, most] = [0, 0];
    const reviews = createTokenReviews({
      ...{ clock, trustDomain: "cluster.local", audiences: [AUDIENCE] },
      queue: createSigningQueue({ atOnce: 2, maxWaiting: 5 }),
      async review(token, audiences) {
        most = Math.max(most, ++now);
        return reviewToken(client, token, audiences).finally(() => now--);
      },
    });
    const authenticate = createAuthenticate([reviews]);
    const answers = await Promise.allSettled(tokens.map((token) => authenticate({ token })));
    assert.equal(answers.filter(({ status }) => status === "fulfilled").length, 7);
    for (const answer of answers) {
      if (answer.status === "rejected") assert.equal(answer.reason.code, "resource-exhausted");
    }
    assert.equal(most, 2);
    for (const token of tokens.slice(7)) await authenticate({ token });
  });
});

/** Pods are asked for anew with each token, in place of the informer that a control plane has. */
async function authenticatorOf(t: TestContext, cluster: TestKubernetes, config: AuthenticatorConfig) {
  const pods = new Map<string, BoundPod>();
  const authenticators = await createAuthenticators([config], {
    ...{ clock, random, trustDomain: "cluster.local", audiences: [AUDIENCE] },
    issuer: await loadTokenIssuer({ state: await temporaryState(t), clock }),
    kubernetes: await adminClient(t, cluster),
    pod: (namespace, name) => pods.get(`${namespace}/${name}`),
    fetchUnder: (rootsPem) => createOutboundFetch({ rootsPem, mayDial: () => true }),
    trustDomainAliases: () => [],
    log: createLog("silent"),
    waitFor: () => assert.fail("an administrator may review tokens"),
  });
  t.after(() => authenticators.stop());
  const authenticate = createAuthenticate(authenticators.list);
  return async (credentials: { readonly token: string }) => {
    const { body } = await cluster.call("GET", `${SHOP}/pods`);
    pods.clear();
    for (const { metadata, spec } of body.items) {
      const { serviceAccountName: serviceAccount } = spec;
      pods.set(`shop/${metadata.name}`, { uid: metadata.uid, serviceAccount, node: undefined });
    }
    return authenticate(credentials);
  };
}

/** Asks a whole control plane for a certificate, over HTTPS. */
function askFor(mesh: TestControlPlane, token: string) {
  return postCertificateRequest(mesh, buildCsr({ keys }), {
    headers: { authorization: `Bearer ${token}`, "content-type": "application/pkcs10" },
    rejectUnauthorized: false,
  });
}

function refusalOf(answer: Promise<unknown>): Promise<{ readonly reason?: string } | null> {
  return answer.then(
    () => null,
    (error: { readonly reason?: string }) => error,
  );
}

/** A pod with an account of its own, both of that name. */
async function startPod(cluster: TestKubernetes, name: string): Promise<{ name: string; uid: string }> {
  await create(cluster, `${SHOP}/serviceaccounts`, { metadata: { name } });
  await create(cluster, `${SHOP}/pods`, podNamed(name));
  const { uid } = (await cluster.call("GET", `${SHOP}/pods/${name}`)).body.metadata;
  return { name, uid };
}

async function deletePod(cluster: TestKubernetes, name: string): Promise<void> {
  assert.equal((await cluster.call("DELETE", `${SHOP}/pods/${name}?gracePeriodSeconds=0`)).status, 200);
}

async function deleteAccount(cluster: TestKubernetes, name: string): Promise<void> {
  assert.equal((await cluster.call("DELETE", `${SHOP}/serviceaccounts/${name}`)).status, 200);
}

async function tokenOf(cluster: TestKubernetes, audience: string, pod: { name: string; uid: string }): Promise<string> {
  const boundObjectRef = { apiVersion: "v1", kind: "Pod", ...pod };
  const { status, body } = await cluster.call("POST", `${SHOP}/serviceaccounts/${pod.name}/token`, {
    spec: { audiences: [audience], boundObjectRef },
  });
  assert.equal(status, 201, JSON.stringify(body));
  return body.status.token;
}

function podNamed(name: string) {
  return { metadata: { name }, spec: { serviceAccountName: name, containers: [{ name: "app", image: "app" }] } };
}
