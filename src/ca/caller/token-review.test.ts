import assert from "node:assert/strict";
import { test } from "node:test";
import { createManualClock } from "../../../test/support/manual-clock.ts";
import { until } from "../../../test/support/until.ts";
import { createSigningQueue } from "../signing-queue.ts";
import { createAuthenticate } from "./authenticate.ts";
import { createTokenReviews, type TokenReviewStatus } from "./token-review.ts";

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
const tokenWith = (claims: object) => `${encode({ alg: "none" })}.${encode(claims)}.`;
const GOOD = tokenWith({ jti: "good" });
const ACCEPTED: TokenReviewStatus = {
  authenticated: true,
  audiences: ["istio-ca"],
  user: { username: "system:serviceaccount:shop:cart" },
};

/** What a real API server does with tokens is tried in test/cluster/tokens.test.ts. */
function reviewer() {
  const clock = createManualClock(0);
  const state = { reviews: 0, isUp: true };
  const reviews = createTokenReviews({
    ...{ clock, trustDomain: "cluster.local", audiences: ["istio-ca"] },
    queue: createSigningQueue({ atOnce: 50, maxWaiting: 1000 }),
    async review(token) {
      state.reviews++;
      if (!state.isUp) throw new Error("no answer");
      return token === GOOD ? ACCEPTED : { authenticated: false };
    },
  });
  const authenticate = createAuthenticate([reviews]);
  return { clock, state, authenticate: (token: string) => authenticate({ token }) };
}

test("a token that holds is remembered for ten seconds, however many fail meanwhile", async () => {
  const { clock, state, authenticate } = reviewer();
  await authenticate(GOOD);
  for (let jti = 0; jti < 21_000; jti++) {
    await assert.rejects(authenticate(tokenWith({ jti })), { reason: "token-rejected" });
  }
  const before = state.reviews;
  await authenticate(GOOD);
  assert.equal(state.reviews, before);
  clock.advance(10_000);
  await authenticate(GOOD);
  assert.equal(state.reviews, before + 1);
});

test("those that show one token at once share one review, and one that fails is not remembered", async () => {
  const { state, authenticate } = reviewer();
  await Promise.all([authenticate(GOOD), authenticate(GOOD), authenticate(GOOD)]);
  assert.equal(state.reviews, 1);
  state.isUp = false;
  const other = tokenWith({ jti: "other" });
  await Promise.all([1, 2].map(() => assert.rejects(authenticate(other), { reason: "issuer-unavailable" })));
  assert.equal(state.reviews, 2);
  state.isUp = true;
  await assert.rejects(authenticate(other), { reason: "token-rejected" });
  assert.equal(state.reviews, 3);
});

test("an address that makes up tokens keeps no other waiting behind all of them, nor out", async () => {
  const reviewed: string[] = [];
  const answers: (() => void)[] = [];
  const reviews = createTokenReviews({
    ...{ clock: createManualClock(0), trustDomain: "cluster.local", audiences: ["istio-ca"] },
    queue: createSigningQueue({ atOnce: 1, maxWaiting: 20 }),
    review(token) {
      reviewed.push(token);
      return new Promise((resolve) =>
        answers.push(() => resolve(token === GOOD ? ACCEPTED : { authenticated: false })),
      );
    },
  });
  const authenticate = createAuthenticate([reviews]);
  const reasons = Array.from({ length: 50 }, (_, jti) =>
    authenticate({ token: tokenWith({ jti }), address: "10.0.0.66" }).then(
      () => "accepted",
      ({ reason }) => reason,
    ),
  );
  const good = authenticate({ token: GOOD, address: "10.0.0.1" });
  // One is being asked for, one more may be before the turn is somebody else's.
  for (let asked = 0; asked < 3; asked++) {
    await until("the next review", () => answers.length > 0, { everyMs: 1 });
    answers.shift()?.();
  }
  assert.equal((await good).serviceAccount, "cart");
  assert.equal(reviewed.indexOf(GOOD), 2);
  while (reviewed.length < 21) {
    await until("the next review", () => answers.length > 0, { everyMs: 1 });
    answers.shift()?.();
  }
  for (const answer of answers) answer();
  const counted = await Promise.all(reasons);
  assert.equal(counted.filter((reason) => reason === "token-rejected").length, 20);
  assert.equal(counted.filter((reason) => reason === "overloaded").length, 30);
});
