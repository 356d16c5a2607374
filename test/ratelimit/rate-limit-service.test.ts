import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import fc from "fast-check";
import {
  RateLimitRequestSchema,
  type RateLimitResponse,
  RateLimitResponse_Code,
  RateLimitResponse_RateLimit_Unit,
} from "../../src/gen/envoy/service/ratelimit/v3/rls_pb.ts";
import { createManualClock } from "../support/manual-clock.ts";
import { type RateLimitClient, rateLimit, rateLimitClient, startTestRateLimit } from "../support/rate-limits.ts";
import { redisMissing, startRedis } from "../support/redis.ts";
import { until } from "../support/until.ts";

/** The service as Envoy asks it, with its counts in memory and in a real Redis. */

const { OK, OVER_LIMIT } = RateLimitResponse_Code;
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
const NOON = Date.parse("2026-11-21T12:00:10Z");

const stores: readonly [name: string, skip: string | false, open: (t: TestContext) => Promise<string | null>][] = [
  ["in memory", false, async () => null],
  ["in Redis", redisMissing(), async (t) => (await startRedis(t)).url],
];

const limit = (name: string, amount: number, unit: string, more: object = {}) => ({
  ...{ name, scope: "GLOBAL", rate: { amount, unit } },
  ...more,
});

/** One descriptor, of a limit and of what it is counted by. */
const by = (name: string, values: Readonly<Record<string, string>> = {}, hits?: bigint) => ({
  entries: [{ key: "limit", value: name }, ...Object.entries(values).map(([key, value]) => ({ key, value }))],
  ...(hits === undefined ? {} : { hitsAddend: hits }),
});

const codes = ({ statuses }: RateLimitResponse) => statuses.map(({ code }) => code);
const remaining = ({ statuses }: RateLimitResponse) => statuses.map(({ limitRemaining }) => limitRemaining);

async function askTimes(
  client: RateLimitClient,
  times: number,
  descriptor: ReturnType<typeof by>,
  domain = "shop/api",
) {
  const answers: RateLimitResponse["overallCode"][] = [];
  for (let i = 0; i < times; i++) {
    answers.push((await client.ask({ domain, descriptors: [descriptor] })).overallCode);
  }
  return answers;
}

for (const [where, skip, open] of stores) {
  const start = async (t: TestContext, spec: object, clock = createManualClock(NOON)) => {
    const service = await startTestRateLimit(t, rateLimit("api", spec), { redisUrl: await open(t), clock });
    await until("the store", async () => (await service.page("/ready")).status === 200);
    return { service, clock, client: rateLimitClient(t, service.ports.grpc) };
  };

  test(`${where}: each value has a count of its own, which tells what is left and when it begins anew`, {
    skip,
  }, async (t) => {
    const { client } = await start(t, { requests: [limit("user", 2, "MINUTE", { by: [{ header: "x-user" }] })] });
    const ann = await client.ask({ domain: "shop/api", descriptors: [by("user", { "header:x-user": "ann" })] });
    assert.equal(ann.overallCode, OK);
    const [told] = ann.statuses;
    assert.equal(told?.limitRemaining, 1);
    assert.equal(told.durationUntilReset?.seconds, 50n);
    assert.equal(told.currentLimit?.requestsPerUnit, 2);
    assert.equal(told.currentLimit.unit, RateLimitResponse_RateLimit_Unit.MINUTE);
    assert.equal(told.currentLimit.name, "shop/api/user");
    assert.deepEqual(await askTimes(client, 2, by("user", { "header:x-user": "ann" })), [OK, OVER_LIMIT]);
    assert.deepEqual(await askTimes(client, 1, by("user", { "header:x-user": "bob" })), [OK]);
    // What looks like another value is another value.
    assert.deepEqual(await askTimes(client, 1, by("user", { "header:x-user": 'ann"],["x' })), [OK]);
  });

  test(`${where}: hits are added as many as are asked for, for all descriptors or for one`, { skip }, async (t) => {
    const { client } = await start(t, { requests: [limit("a", 10, "HOUR"), limit("b", 10, "HOUR")] });
    const ask = (hitsAddend: number, descriptors: ReturnType<typeof by>[]) =>
      client.ask({ domain: "shop/api", hitsAddend, descriptors });
    assert.deepEqual(remaining(await ask(4, [by("a"), by("b", {}, 1n)])), [6, 9]);
    assert.deepEqual(codes(await ask(7, [by("a")])), [OVER_LIMIT]);
    assert.deepEqual(remaining(await ask(6, [by("a"), by("b", {}, 0n)])), [0, 9]);
  });

  test(`${where}: a request that is refused uses up no other limit`, { skip }, async (t) => {
    const { client } = await start(t, { requests: [limit("minute", 1, "MINUTE"), limit("quota", 100, "MONTH")] });
    const both = { domain: "shop/api", descriptors: [by("minute"), by("quota")] };
    assert.deepEqual(remaining(await client.ask(both)), [0, 99]);
    for (let i = 0; i < 5; i++) {
      const answer = await client.ask(both);
      assert.deepEqual(codes(answer), [OVER_LIMIT, OK]);
      assert.deepEqual(remaining(answer), [0, 99]);
    }
  });

  test(`${where}: a shadow counts and refuses nobody`, { skip }, async (t) => {
    const { client, service } = await start(t, {
      requests: [limit("try", 1, "MINUTE", { shadow: true }), limit("all", 9, "MINUTE")],
    });
    const both = { domain: "shop/api", descriptors: [by("try"), by("all")] };
    assert.deepEqual(remaining(await client.ask(both)), [0, 8]);
    for (const left of [7, 6]) {
      const answer = await client.ask(both);
      assert.deepEqual([answer.overallCode, ...codes(answer)], [OK, OK, OK]);
      assert.deepEqual(remaining(answer), [0, left]);
    }
    const metrics = await (await service.page("/metrics")).text();
    assert.match(metrics, /trysail_ratelimit_counts_total\{limit="shop\/api\/try",outcome="shadow-over"\} 2/);
    assert.match(metrics, /trysail_ratelimit_counts_total\{limit="shop\/api\/try",outcome="within"\} 1/);
  });

  test(`${where}: a count begins anew with its unit of time, and a month's with the month`, { skip }, async (t) => {
    const clock = createManualClock(Date.parse("2028-02-10T10:00:30Z"));
    const { client } = await start(t, { requests: [limit("minute", 1, "MINUTE"), limit("quota", 3, "MONTH")] }, clock);
    const minute = () => askTimes(client, 1, by("minute"));
    const quota = () => askTimes(client, 1, by("quota"));
    assert.deepEqual([await minute(), await minute()], [[OK], [OVER_LIMIT]]);
    clock.advance(29_999);
    assert.deepEqual(await minute(), [OVER_LIMIT]);
    clock.advance(1);
    assert.deepEqual(await minute(), [OK]);
    assert.deepEqual([await quota(), await quota()], [[OK], [OK]]);
    // The last second of the 29th of February, then March.
    clock.advance(Date.parse("2028-02-29T23:59:59Z") - clock.now());
    assert.deepEqual([await quota(), await quota()], [[OK], [OVER_LIMIT]]);
    clock.advance(1000);
    assert.deepEqual([await quota()], [[OK]]);
    clock.advance(31 * DAY_MS);
    assert.deepEqual(await askTimes(client, 4, by("quota")), [OK, OK, OK, OVER_LIMIT]);
  });

  test(`${where}: hundreds of requests at once get exactly as many as are allowed`, { skip }, async (t) => {
    const { client } = await start(t, { requests: [limit("all", 100, "MINUTE")] });
    const answers = await Promise.all(
      Array.from({ length: 400 }, () => client.ask({ domain: "shop/api", descriptors: [by("all")] })),
    );
    assert.equal(answers.filter(({ overallCode }) => overallCode === OK).length, 100);
  });
}

test("who is refused is told when to come back, in the object's own words", async (t) => {
  const spec = { requests: [limit("all", 1, "MINUTE")], exceeded: { body: "come back later" } };
  const clock = createManualClock(NOON);
  const { ports } = await startTestRateLimit(t, rateLimit("api", spec), { clock });
  const client = rateLimitClient(t, ports.grpc);
  const first = await client.ask({ domain: "shop/api", descriptors: [by("all")] });
  assert.deepEqual([first.rawBody.length, first.responseHeadersToAdd.length], [0, 0]);
  const second = await client.ask({ domain: "shop/api", descriptors: [by("all")] });
  assert.equal(new TextDecoder().decode(second.rawBody), "come back later");
  assert.deepEqual(
    second.responseHeadersToAdd.map(({ key, value }) => [key, value]),
    [["retry-after", "50"]],
  );
});

test("what no RateLimit limits, or not any more, is let through and counted as unknown", async (t) => {
  const service = await startTestRateLimit(t, rateLimit("api", { requests: [limit("all", 1, "MONTH")] }));
  const client = rateLimitClient(t, service.ports.grpc);
  assert.deepEqual(await askTimes(client, 2, by("all")), [OK, OVER_LIMIT]);
  assert.deepEqual(await askTimes(client, 2, by("all"), "shop/other"), [OK, OK]);
  assert.deepEqual(await askTimes(client, 2, by("other")), [OK, OK]);
  assert.match(await (await service.page("/metrics")).text(), /\{limit="",outcome="unknown"\} 4/);
  await service.write(rateLimit("api", { requests: [limit("all", 3, "MONTH")] }));
  await until("the new limit", async () => {
    const { statuses } = await client.ask({ domain: "shop/api", descriptors: [by("all", {}, 0n)] });
    return statuses[0]?.currentLimit?.requestsPerUnit === 3;
  });
  // It is the same count.
  assert.deepEqual(await askTimes(client, 3, by("all")), [OK, OK, OVER_LIMIT]);
});

test("a RateLimit that is written wrongly leaves the last good one in force", async (t) => {
  const service = await startTestRateLimit(t, rateLimit("api", { requests: [limit("all", 1, "MONTH")] }));
  const client = rateLimitClient(t, service.ports.grpc);
  await service.write(
    rateLimit("api", { requests: [limit("all", -5, "MONTH")] }) + rateLimit("b", { requests: [limit("b", 1, "DAY")] }),
  );
  await until("the other object", async () => {
    const { statuses } = await client.ask({ domain: "shop/b", descriptors: [by("b", {}, 0n)] });
    return statuses[0]?.currentLimit !== undefined;
  });
  assert.deepEqual(await askTimes(client, 2, by("all")), [OK, OVER_LIMIT]);
});

test("while Redis is away the answer is UNAVAILABLE, and counting goes on once it is back", {
  skip: redisMissing(),
}, async (t) => {
  const redis = await startRedis(t);
  const yaml = rateLimit("api", { requests: [limit("all", 2, "MONTH")] });
  const service = await startTestRateLimit(t, yaml, { redisUrl: redis.url });
  const client = rateLimitClient(t, service.ports.grpc);
  const isReady = async () => (await service.page("/ready")).status === 200;
  const storeUp = async () =>
    /^trysail_ratelimit_store_up (\d)$/m.exec(await (await service.page("/metrics")).text())?.[1];
  await until("the store", isReady);
  assert.deepEqual(await askTimes(client, 3, by("all")), [OK, OK, OVER_LIMIT]);
  assert.equal(await storeUp(), "1");

  await redis.kill();
  const refused = () => client.ask({ domain: "shop/api", descriptors: [by("all")] });
  await assert.rejects(refused, { code: status.UNAVAILABLE });
  await until("not being ready", async () => !(await isReady()));
  await assert.rejects(refused, { code: status.UNAVAILABLE });
  assert.equal(await storeUp(), "0");

  await redis.start();
  await until("the store again", isReady);
  // That one was empty.
  assert.deepEqual(await askTimes(client, 3, by("all")), [OK, OK, OVER_LIMIT]);
  const metrics = await (await service.page("/metrics")).text();
  assert.match(metrics, /trysail_ratelimit_answer_duration_seconds_count\{result="unavailable"\} \d/);
});

test("a Redis that hangs is answered for within a second or so, and not waited for", {
  skip: redisMissing(),
}, async (t) => {
  const redis = await startRedis(t);
  t.after(() => redis.signal("SIGCONT"));
  const yaml = rateLimit("api", { requests: [limit("all", 2, "MONTH")] });
  const service = await startTestRateLimit(t, yaml, { redisUrl: redis.url });
  const client = rateLimitClient(t, service.ports.grpc);
  await until("the store", async () => (await service.page("/ready")).status === 200);
  redis.signal("SIGSTOP");
  await assert.rejects(() => client.ask({ domain: "shop/api", descriptors: [by("all")] }), {
    code: status.UNAVAILABLE,
  });
  redis.signal("SIGCONT");
  await until("an answer", async () => {
    return (await client.ask({ domain: "shop/api", descriptors: [by("all", {}, 0n)] })).overallCode === OK;
  });
});

test("the service starts without Redis and is not ready until it is there", { skip: redisMissing() }, async (t) => {
  const redis = await startRedis(t);
  await redis.kill();
  const service = await startTestRateLimit(t, rateLimit("api", { requests: [limit("all", 1, "MONTH")] }), {
    redisUrl: redis.url,
  });
  assert.equal((await service.page("/ready")).status, 503);
  assert.equal((await service.page("/live")).status, 200);
  await redis.start();
  await until("the store", async () => (await service.page("/ready")).status === 200);
  assert.deepEqual(await askTimes(rateLimitClient(t, service.ports.grpc), 2, by("all")), [OK, OVER_LIMIT]);
});

test("random requests are answered or refused by name, and the service lives on", { timeout: 60_000 }, async (t) => {
  const service = await startTestRateLimit(t, rateLimit("api", { requests: [limit("all", 1000, "MONTH")] }));
  const client = rateLimitClient(t, service.ports.grpc);
  const isExpected = async (answer: Promise<RateLimitResponse>) => {
    const code = await answer.then(
      () => status.OK,
      (error: unknown) => (error instanceof Error && "code" in error ? error.code : error),
    );
    assert.ok(code === status.OK || code === status.INVALID_ARGUMENT, String(code));
  };
  const text = fc.oneof(fc.constantFrom("limit", "all", ""), fc.string({ unit: "grapheme" }));
  const entry = fc.record({ key: text, value: text });
  const descriptor = fc.record({
    entries: fc.array(entry, { maxLength: 5 }),
    hitsAddend: fc.option(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { nil: undefined }),
  });
  const request = fc.record({
    domain: fc.oneof(fc.constant("shop/api"), text),
    descriptors: fc.array(descriptor, { maxLength: 140 }),
    hitsAddend: fc.nat(2 ** 32 - 1),
  });
  await fc.assert(
    fc.asyncProperty(request, async ({ descriptors, ...rest }) => {
      const known = descriptors.map(({ entries, hitsAddend }) => ({
        entries,
        ...(hitsAddend === undefined ? {} : { hitsAddend }),
      }));
      await isExpected(client.ask({ ...rest, descriptors: known }));
    }),
    { numRuns: 300 },
  );
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), (bytes) => isExpected(client.send(bytes))),
    { numRuns: 300 },
  );
  assert.equal((await client.ask({ domain: "shop/b", descriptors: [by("b")] })).overallCode, OK);
});

test("values that are no text are counted", async (t) => {
  const service = await startTestRateLimit(t, rateLimit("api", { requests: [limit("all", 1, "MONTH")] }));
  const client = rateLimitClient(t, service.ports.grpc);
  const request = create(RateLimitRequestSchema, { domain: "shop/api", descriptors: [by("all", { user: "ab" })] });
  const bytes = Buffer.from(toBinary(RateLimitRequestSchema, request));
  const at = bytes.indexOf("ab");
  bytes.set([0xff, 0xfe], at);
  const answers = [await client.send(bytes), await client.send(bytes)];
  assert.deepEqual(
    answers.map(({ overallCode }) => overallCode),
    [OK, OVER_LIMIT],
  );
});

test("a memory that is full refuses to count more, and forgets what is over", async () => {
  const { createMemoryCounters } = await import("../../src/ratelimit/memory-counters.ts");
  const clock = createManualClock(NOON);
  const store = createMemoryCounters(clock, 2);
  const charge = (key: string) => store.charge([{ key, hits: 1, limit: 5, ttlMs: MINUTE_MS }]);
  await charge("a");
  await charge("b");
  await assert.rejects(charge("c"), { code: "unavailable" });
  clock.advance(MINUTE_MS + 10_000);
  assert.deepEqual(await charge("c"), { before: [0], isAdded: true });
  await store.stop();
  assert.equal(clock.pending(), 0);
});
