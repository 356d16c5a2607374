import assert from "node:assert/strict";
import { test } from "node:test";
import type { HttpRetry } from "../../mesh/istio/http-policies.ts";
import { buildRetryPolicy } from "./retry-policy.ts";

const DEFAULT = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes,retriable-headers";

const rows: [retries: HttpRetry | null, expected: [retries: number, on: string, codes: number[]] | null][] = [
  [null, [2, DEFAULT, []]],
  [{ attempts: 0 }, null],
  [{ perTryTimeout: "1s" }, null],
  [{ attempts: 3 }, [3, DEFAULT, []]],
  [{ attempts: 3, retryOn: "" }, [3, DEFAULT, []]],
  [{ attempts: 1, retryOn: "5xx, reset" }, [1, "5xx,reset", []]],
  [{ attempts: 1, retryOn: "503,5xx,429" }, [1, "5xx,retriable-status-codes", [503, 429]]],
  [{ attempts: 1, retryOn: "retriable-status-codes,429" }, [1, "retriable-status-codes", [429]]],
  [{ attempts: 1, retryOn: "99999999999" }, [1, "99999999999", []]],
];

for (const [retries, expected] of rows) {
  test(`retries ${JSON.stringify(retries)}`, () => {
    const policy = buildRetryPolicy(retries, false);
    assert.deepEqual(policy && [policy.numRetries, policy.retryOn, policy.retriableStatusCodes], expected);
  });
}

test("a try's timeout is kept, and retries go elsewhere", () => {
  const policy = buildRetryPolicy({ attempts: 1, perTryTimeout: "250ms" }, false);
  assert.equal(policy?.perTryTimeout?.nanos, 250_000_000);
  assert.deepEqual(
    policy?.retryHostPredicate.map(({ name }) => name),
    ["envoy.retry_host_predicates.previous_hosts"],
  );
});

const hosts: readonly [retries: HttpRetry | null, isHashed: boolean, elsewhere: boolean][] = [
  [null, false, true],
  [null, true, false],
  [{ attempts: 1 }, true, false],
  [{ attempts: 1, retryIgnorePreviousHosts: true }, true, true],
  [{ attempts: 1, retryIgnorePreviousHosts: false }, false, false],
];
for (const [retries, isHashed, elsewhere] of hosts) {
  const where = elsewhere ? "to another endpoint" : "to any";
  test(`retries ${JSON.stringify(retries)} go ${where} ${isHashed ? "under" : "without"} consistentHash`, () => {
    assert.equal(buildRetryPolicy(retries, isHashed)?.retryHostPredicate.length, elsewhere ? 1 : 0);
  });
}
