import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { systemClock } from "../../src/platform/clock.ts";
import { temporaryAuthority } from "./authority.ts";
import { type CallerIdentity, callHttp, callTcp, type HttpCall, identityOf } from "./caller.ts";
import { endpoint, pod, service } from "./manifests.ts";
import { meshOf } from "./mesh.ts";
import { rateLimit, startTestRateLimit } from "./rate-limits.ts";
import { startSidecars } from "./sidecars.ts";
import { startEcho, startUpstream } from "./upstream.ts";

/** Workloads under RateLimits, each with its own, and calls to them. */

export interface LimitedCall extends HttpCall {
  readonly as?: "page" | "cart";
}

/** One limit of so many, of requests or connections, in a time that no test sees begin anew. */
export const limit = (amount: number, more: { readonly scope?: string; readonly [field: string]: unknown } = {}) => ({
  name: "a",
  scope: "PROXY",
  // Of scope GLOBAL a day ends at midnight; a proxy counts from its start.
  rate: { amount, unit: more.scope === "GLOBAL" ? "MONTH" : "DAY" },
  ...more,
});

/** Where a spec does not say for how long who counts is waited for: else a test on a busy machine could let pass what it counts. */
const PATIENT = { timeout: "30s" };

/** For each workload the specs of its RateLimits; they may depend on the ports that the application has. */
export type LimitedWorkloads =
  | readonly (readonly object[])[]
  | ((ports: { readonly http: number; readonly tcp: number }) => readonly (readonly object[])[]);

/** What a RequestAuthentication would make: tokens are verified where there are any. */
async function tokens() {
  const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
  const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid: "k", alg: "ES256" }] };
  const filter: JsonObject = {
    name: "envoy.filters.http.jwt_authn",
    typedConfig: {
      "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
      providers: {
        test: { issuer: "test", localJwks: { inlineString: JSON.stringify(jwks) }, payloadInMetadata: "payload" },
      },
      rules: [
        {
          match: { prefix: "/" },
          requires: { requiresAny: { requirements: [{ providerName: "test" }, { allowMissing: {} }] } },
        },
      ],
    },
  };
  const of = (subject: string) =>
    new SignJWT({})
      .setProtectedHeader({ alg: "ES256", kid: "k" })
      .setIssuer("test")
      .setSubject(subject)
      .setExpirationTime("1h")
      .sign(privateKey);
  return { filter, bearer: { ann: await of("ann"), bob: await of("bob") } };
}

const COUNTING = { name: "trysail-ratelimit", namespace: "trysail-ratelimit" };

/** Sidecars of as many workloads in one Envoy, the application behind them, and the service that counts. */
export async function startLimited(
  t: TestContext,
  workloads: LimitedWorkloads,
  { redisUrl = null, around = "" }: { readonly redisUrl?: string | null; readonly around?: string } = {},
) {
  const authority = await temporaryAuthority(t, systemClock);
  const own = await identityOf(authority, { namespace: "shop", serviceAccount: "server" });
  const identities: Readonly<Record<"page" | "cart", CallerIdentity>> = {
    page: await identityOf(authority, { namespace: "shop", serviceAccount: "page" }),
    cart: await identityOf(authority, { namespace: "shop", serviceAccount: "cart" }),
  };
  const { filter, bearer } = await tokens();
  const [http, tcp] = [await startUpstream(t, "app"), await startEcho(t)];
  const all = typeof workloads === "function" ? workloads({ http: http.port, tcp: tcp.port }) : workloads;
  const limits = all
    .flatMap((specs, index) =>
      specs.map((spec, at) =>
        rateLimit(`app-${index}-${at}`, {
          selector: { matchLabels: { app: `app-${index}` } },
          service: PATIENT,
          ...spec,
        }),
      ),
    )
    .join("");
  const counting = await startTestRateLimit(t, limits, { redisUrl });
  const objects = [
    limits,
    service({ ...COUNTING, ports: { grpc: 8081 }, clusterIP: "10.96.0.9" }),
    endpoint(
      COUNTING.name,
      { name: "one", namespace: COUNTING.namespace, ip: "127.0.0.1" },
      { grpc: counting.ports.grpc },
    ),
    service({ name: "empty", ports: { grpc: 8081 }, clusterIP: "10.96.0.8" }),
    around,
    ...all.map(
      (_, index) =>
        pod({ name: `app-${index}`, ip: "127.0.0.1", labels: { app: `app-${index}` } }) +
        service({
          name: `app-${index}`,
          ports: { http: { port: 80, targetPort: http.port }, tcp: { port: 81, targetPort: tcp.port } },
        }),
    ),
  ];
  const mesh = meshOf(objects.join(""));
  const running = await startSidecars(
    t,
    own,
    Object.fromEntries(all.map((_, index) => [`app-${index}`, { mesh, pod: `app-${index}.shop`, filters: [filter] }])),
  );
  const inbound = (index: number, port: number) => ({
    port: running.port(`app-${index}`, "virtualInbound"),
    destination: port,
  });
  return {
    envoy: running.envoy,
    counting,
    http: (index: number) => inbound(index, http.port),
    async call(index: number, { as, from, headers = {}, ...call }: LimitedCall = {}) {
      const token =
        headers.authorization === undefined ? undefined : bearer[headers.authorization === "ann" ? "ann" : "bob"];
      const answer = await callHttp(
        {
          ...inbound(index, http.port),
          ...(from === undefined ? {} : { from }),
          ...(as === undefined ? {} : { identity: identities[as] }),
        },
        { ...call, headers: { ...headers, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) } },
      );
      assert.ok(answer !== null, "the connection was closed");
      return answer;
    },
    async isConnected(index: number, from = "127.0.0.1", as?: "page") {
      const identity = as === undefined ? {} : { identity: identities[as] };
      return (await callTcp({ ...inbound(index, tcp.port), from, ...identity })) === "hello ahoy there";
    },
  };
}
