import type { KeyObject } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createIssuerKeys } from "../ca/authority/issuer-keys.ts";
import type { Authenticator } from "../ca/caller/authenticate.ts";
import type { AuthenticatorConfig } from "../ca/caller/authenticator-config.ts";
import { createClientCertificates } from "../ca/caller/client-certificates.ts";
import { type BoundPod, createKubernetesTokens } from "../ca/caller/kubernetes-tokens.ts";
import { createMeshTokens } from "../ca/caller/mesh-tokens.ts";
import { createOidcTokens } from "../ca/caller/oidc-tokens.ts";
import { createTokenReviews } from "../ca/caller/token-review.ts";
import { createSigningQueue } from "../ca/signing-queue.ts";
import { type AccountUids, followAccountUids } from "../kubernetes/account-uids.ts";
import { awaitTokenReviews } from "../kubernetes/await-token-reviews.ts";
import type { KubernetesClient } from "../kubernetes/client.ts";
import { reviewToken } from "../kubernetes/review-token.ts";
import type { Clock } from "../platform/clock.ts";
import { messageOf, TrysailError } from "../platform/errors.ts";
import type { Logger } from "../platform/log.ts";
import type { OutboundFetch } from "../platform/outbound-fetch.ts";
import type { Random } from "../platform/random.ts";

export interface AuthenticatorsDeps {
  readonly issuer: { readonly publicKey: KeyObject };
  readonly audiences: readonly string[];
  readonly trustDomain: string;
  trustDomainAliases(): readonly string[];
  /** Null without a cluster. */
  readonly kubernetes: KubernetesClient | null;
  pod(namespace: string, name: string): BoundPod | undefined;
  /** Fetches over HTTPS from servers under the given roots (PEM), or under the system's. */
  fetchUnder(rootsPem?: string): OutboundFetch;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Called with what the start waits for, where that is more than a moment. */
  waitFor(reason: () => string): void;
}

export interface Authenticators {
  /** In the order in which they are asked. */
  readonly list: readonly Authenticator[];
  stop(): void;
}

/** RFC 7517, 8.5.2. The API server answers 406 to who asks for plain JSON. */
const KEY_SET_TYPE = "application/jwk-set+json";

/** More at once would only wait for each other in the API server, which has others to serve. */
const REVIEWS = { atOnce: 50, maxWaiting: 2000 };

/** The proofs that an operator chose. Rejects with `invalid-argument` where one needs a cluster, or a file, that is not there. */
export async function createAuthenticators(
  configs: readonly AuthenticatorConfig[],
  deps: AuthenticatorsDeps,
): Promise<Authenticators> {
  const followed: AccountUids[] = [];
  const list: Authenticator[] = [];
  for (const config of configs) list.push(await create(config, deps, followed));
  return {
    list,
    stop() {
      for (const accounts of followed) accounts.stop();
    },
  };
}

async function create(
  config: AuthenticatorConfig,
  deps: AuthenticatorsDeps,
  followed: AccountUids[],
): Promise<Authenticator> {
  switch (config.kind) {
    case "mesh-token":
      return createMeshTokens(deps);
    case "client-certificate":
      return createClientCertificates(deps);
    case "oidc":
      return createOidcTokens({ ...deps, issuer: config.issuer, fetch: await issuerFetch(config.caFile, deps) });
    case "token-review": {
      const client = clusterOf(config, deps);
      await awaitTokenReviews({ ...deps, client });
      return createTokenReviews({
        ...deps,
        queue: createSigningQueue(REVIEWS),
        review: (token, audiences) => reviewToken(client, token, audiences),
      });
    }
    case "kubernetes": {
      const client = clusterOf(config, deps);
      const { issuer } = await client.getDocument("/.well-known/openid-configuration");
      if (typeof issuer !== "string") {
        throw new TrysailError("unavailable", "the API server's OpenID configuration names no issuer");
      }
      const accounts = followAccountUids({ ...deps, client });
      followed.push(accounts);
      return createKubernetesTokens({
        ...deps,
        issuer,
        keys: createIssuerKeys({
          ...deps,
          fetchKeys: async () => JSON.stringify(await client.getDocument("/openid/v1/jwks", { accept: KEY_SET_TYPE })),
        }),
        objects: { pod: deps.pod, serviceAccountUid: accounts.uidOf },
      });
    }
  }
}

/** The file is read anew each time, since roots are rotated too; one that cannot be read at the start is a mistake. */
async function issuerFetch(caFile: string | null, { fetchUnder }: AuthenticatorsDeps): Promise<OutboundFetch> {
  if (caFile === null) return fetchUnder();
  await readFile(caFile).catch((error: unknown) => {
    throw new TrysailError("invalid-argument", `--authenticator oidc: ${messageOf(error)}`);
  });
  return async (url) => fetchUnder(await readFile(caFile, "utf8"))(url);
}

function clusterOf(config: AuthenticatorConfig, { kubernetes }: AuthenticatorsDeps): KubernetesClient {
  if (kubernetes !== null) return kubernetes;
  throw new TrysailError(
    "invalid-argument",
    `--authenticator ${config.kind} needs a cluster: serve one by --kubeconfig`,
  );
}
