import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import type { HttpCall } from "../support/caller.ts";
import { envoyMissing } from "../support/envoy.ts";
import { type LimitedCall, limit, startLimited } from "../support/limited-workloads.ts";
import { until } from "../support/until.ts";

/** RateLimits of requests at a real Envoy and the real service: each row is a workload with limits of its own, and calls to it in turn. */

interface Call extends LimitedCall {
  /** The status of the answer. */
  readonly gets: number;
}

interface Row {
  readonly specs: readonly object[];
  readonly calls: readonly Call[];
}

const requests = (...limits: object[]) => ({ requests: limits });

/** Two calls that are counted together, the second of them one too many, and one that is counted apart. */
interface Counted {
  readonly by: readonly object[];
  readonly same: readonly [LimitedCall, LimitedCall];
  readonly other: LimitedCall;
}

const header = (name: string, value: string) => ({ headers: { [name]: value } });

const COUNTED: Readonly<Record<string, Counted>> = {
  header: {
    by: [{ header: "X-User" }],
    same: [header("x-user", "ann"), header("X-USER", "ann")],
    other: header("x-user", "bob"),
  },
  "a header that is missing": { by: [{ header: "x-user" }], same: [{}, {}], other: header("x-user", "bob") },
  path: {
    by: [{ attribute: "PATH" }],
    same: [{ path: "/orders?page=1" }, { path: "/orders?page=2" }],
    other: { path: "/orders/1" },
  },
  method: { by: [{ attribute: "METHOD" }], same: [{ path: "/a" }, { path: "/b" }], other: { method: "DELETE" } },
  "the caller's identity": {
    by: [{ attribute: "IDENTITY" }],
    same: [
      { as: "page", path: "/a" },
      { as: "page", path: "/b" },
    ],
    other: { as: "cart" },
  },
  "no identity": { by: [{ attribute: "IDENTITY" }], same: [{}, {}], other: { as: "cart" } },
  "the caller's address": {
    by: [{ attribute: "REMOTE_ADDRESS" }],
    same: [{ from: "127.0.0.41" }, { from: "127.0.0.41" }],
    other: { from: "127.0.0.42" },
  },
  "a token's claim": {
    by: [{ claim: "sub" }],
    same: [header("authorization", "ann"), header("authorization", "ann")],
    other: header("authorization", "bob"),
  },
  "no token": { by: [{ claim: "sub" }], same: [{}, {}], other: header("authorization", "bob") },
  "two things at once": {
    by: [{ header: "x-user" }, { attribute: "PATH" }],
    same: [
      { path: "/a", ...header("x-user", "ann") },
      { path: "/a", ...header("x-user", "ann") },
    ],
    other: { path: "/b", ...header("x-user", "ann") },
  },
};

const rows: Record<string, Row> = {
  "PROXY: all together": {
    specs: [requests(limit(2))],
    calls: [{ gets: 200 }, { path: "/b", gets: 200 }, { gets: 429 }],
  },
  "PROXY: a bucket holds more than it is filled with": {
    specs: [requests(limit(1, { rate: { amount: 1, unit: "DAY", burst: 3 } }))],
    calls: [{ gets: 200 }, { gets: 200 }, { gets: 200 }, { gets: 429 }],
  },
  "PROXY: a shadow refuses nobody": {
    specs: [requests(limit(1, { shadow: true }))],
    calls: [{ gets: 200 }, { gets: 200 }],
  },
  "GLOBAL: all together": {
    specs: [requests(limit(2, { scope: "GLOBAL" }))],
    calls: [{ gets: 200 }, { path: "/b", gets: 200 }, { gets: 429 }],
  },
  "GLOBAL: a shadow refuses nobody": {
    specs: [requests(limit(1, { scope: "GLOBAL", shadow: true }))],
    calls: [{ gets: 200 }, { gets: 200 }],
  },
  "two objects: the narrower decides": {
    specs: [requests(limit(1)), requests(limit(3)), requests(limit(3, { scope: "GLOBAL" }))],
    calls: [{ gets: 200 }, { gets: 429 }],
  },
  "two limits of an object: each counts": {
    specs: [
      requests(
        limit(1, { name: "post", match: { methods: ["POST"] } }),
        limit(2, { name: "all", scope: "GLOBAL", by: [{ attribute: "METHOD" }] }),
      ),
    ],
    calls: [{ method: "POST", gets: 200 }, { method: "POST", gets: 429 }, { gets: 200 }, { gets: 200 }, { gets: 429 }],
  },
  "another status": {
    specs: [{ ...requests(limit(1)), exceeded: { status: 503 } }],
    calls: [{ gets: 200 }, { gets: 503 }],
  },
  "a port that it is not for": { specs: [requests(limit(1, { ports: [1] }))], calls: [{ gets: 200 }, { gets: 200 }] },
  "a service that is not there, ALLOW": {
    specs: [{ ...requests(limit(1, { scope: "GLOBAL" })), service: { host: "gone.shop.svc.cluster.local" } }],
    calls: [{ gets: 200 }, { gets: 200 }],
  },
  "a service that is not there, DENY": {
    specs: [
      {
        ...requests(limit(1, { scope: "GLOBAL" })),
        service: { host: "gone.shop.svc.cluster.local", failureMode: "DENY" },
      },
    ],
    calls: [{ gets: 500 }],
  },
  "a service without an endpoint, ALLOW": {
    specs: [{ ...requests(limit(1, { scope: "GLOBAL" })), service: { host: "empty", port: 8081 } }],
    calls: [{ gets: 200 }, { gets: 200 }],
  },
  "a service without an endpoint, DENY": {
    specs: [
      { ...requests(limit(1, { scope: "GLOBAL" })), service: { host: "empty", port: 8081, failureMode: "DENY" } },
    ],
    calls: [{ gets: 500 }],
  },
};

const MATCHES: Readonly<Record<string, { match: object; fit: readonly HttpCall[]; differ: readonly HttpCall[] }>> = {
  methods: { match: { methods: ["PUT", "POST"] }, fit: [{ method: "POST" }, { method: "PUT" }], differ: [{}] },
  "a whole path": {
    match: { paths: ["/a.b"] },
    fit: [{ path: "/a.b" }, { path: "/a.b?x" }],
    differ: [{ path: "/a.b/" }, { path: "/axb" }, { path: "/x/a.b" }],
  },
  "the beginning of a path": {
    match: { paths: ["/a/*"] },
    fit: [{ path: "/a/" }, { path: "/a/b?x" }],
    differ: [{ path: "/a" }, { path: "/b?/a/" }],
  },
  "the end of a path": {
    match: { paths: ["*.json"] },
    fit: [{ path: "/a.json" }, { path: "/b.json?x" }],
    differ: [{ path: "/a" }, { path: "/a?x.json" }],
  },
  "any path": { match: { paths: ["*"] }, fit: [{ path: "/" }, { path: "/b?x" }], differ: [] },
  nothing: { match: {}, fit: [{ path: "/" }, { path: "/b?x" }], differ: [] },
  "a header": {
    match: { headers: { "X-Plan": { exact: "free" } } },
    fit: [header("x-plan", "free"), header("X-Plan", "free")],
    differ: [{}, header("x-plan", "freedom")],
  },
  "a header's beginning and another header": {
    match: { headers: { "x-plan": { prefix: "fr" }, "x-b": { regex: "[0-9]+" } } },
    fit: [{ headers: { "x-plan": "free", "x-b": "1" } }, { headers: { "x-plan": "fresh", "x-b": "22" } }],
    differ: [header("x-plan", "free"), { headers: { "x-plan": "free", "x-b": "b" } }],
  },
  "method and path": {
    match: { methods: ["POST"], paths: ["/a"] },
    fit: [
      { method: "POST", path: "/a" },
      { method: "POST", path: "/a" },
    ],
    differ: [{ path: "/a" }, { method: "POST", path: "/b" }],
  },
};

for (const scope of ["PROXY", "GLOBAL"]) {
  for (const [name, { by, same, other }] of Object.entries(COUNTED)) {
    rows[`${scope}: counted by ${name}`] = {
      specs: [requests(limit(1, { scope, by }))],
      calls: [
        { ...same[0], gets: 200 },
        { ...same[1], gets: 429 },
        { ...other, gets: 200 },
      ],
    };
  }
  rows[`${scope}: counted by a constant`] = {
    specs: [requests(limit(1, { scope, by: [{ constant: "all" }] }))],
    calls: [{ gets: 200 }, { path: "/b", gets: 429 }],
  };
  for (const [name, { match, fit, differ }] of Object.entries(MATCHES)) {
    const [first = {}, second = {}] = fit;
    rows[`${scope}: requests that have ${name}`] = {
      specs: [requests(limit(1, { scope, match }))],
      calls: [
        ...differ.map((call) => ({ ...call, gets: 200 })),
        { ...first, gets: 200 },
        ...differ.map((call) => ({ ...call, gets: 200 })),
        { ...second, gets: 429 },
      ],
    };
  }
}

test("requests are limited at a real Envoy", { skip: envoyMissing() }, async (t) => {
  const all = Object.entries(rows);
  const { call, envoy } = await startLimited(
    t,
    all.map(([, { specs }]) => specs),
  );
  for (const [index, [name, { calls }]] of all.entries()) {
    await t.test(name, async () => {
      const statuses: number[] = [];
      for (const { gets: _, ...one } of calls) statuses.push((await call(index, one)).status);
      assert.deepEqual(
        statuses,
        calls.map(({ gets }) => gets),
      );
    });
  }

  await t.test("Envoy counts what it refused", async () => {
    assert.ok((await envoy.stat("http_local_rate_limiter.http_local_rate_limit.rate_limited")) > 20);
    const refused = await envoy.admin("/stats?filter=^cluster.inbound.*ratelimit.over_limit$");
    assert.match(refused, /^cluster\.inbound\|\d+\|\|\.ratelimit\.over_limit: [1-9]/m);
  });
});

test("who is refused gets the status, headers and body of the object", { skip: envoyMissing() }, async (t) => {
  const exceeded = { status: 503, body: "come back later", headers: { "x-why": "100% used" } };
  const { call } = await startLimited(t, [
    [{ ...requests(limit(1, { scope: "GLOBAL", rate: { amount: 1, unit: "MONTH" } })), exceeded, showLimits: true }],
    [{ ...requests(limit(1)), exceeded, showLimits: true }],
    [requests(limit(1, { scope: "GLOBAL" }))],
  ]);
  const first = await call(0);
  assert.deepEqual(
    [first.status, first.headers["x-ratelimit-remaining"], first.headers["x-why"]],
    [200, "0", undefined],
  );
  const refused = await call(0);
  assert.deepEqual([refused.status, refused.body, refused.headers["x-why"]], [503, "come back later", "100% used"]);
  assert.match(String(refused.headers["x-ratelimit-limit"]), /^1, 1;w=/);
  assert.equal(refused.headers["x-ratelimit-remaining"], "0");
  assert.match(String(refused.headers["x-ratelimit-reset"]), /^\d+$/);
  assert.match(String(refused.headers["retry-after"]), /^\d+$/);

  assert.equal((await call(1)).headers["x-ratelimit-limit"], "1");
  const local = await call(1);
  assert.deepEqual([local.status, local.body, local.headers["x-why"]], [503, "local_rate_limited", "100% used"]);
  assert.equal(local.headers["x-ratelimit-remaining"], "0");

  assert.equal((await call(2)).headers["x-ratelimit-limit"], undefined);
  const plain = await call(2);
  assert.deepEqual([plain.status, plain.body, plain.headers["x-ratelimit-limit"]], [429, "", undefined]);
});

test("a gRPC call that is refused is told so in gRPC's own words", { skip: envoyMissing() }, async (t) => {
  const { call } = await startLimited(t, [[requests(limit(1))], [requests(limit(1, { scope: "GLOBAL" }))]]);
  for (const index of [0, 1]) {
    await call(index);
    const { status, headers } = await call(index, { method: "POST", headers: { "content-type": "application/grpc" } });
    // RESOURCE_EXHAUSTED.
    assert.deepEqual([status, headers["grpc-status"]], [200, "8"]);
  }
});

test("what was used up is there again with the next unit of time", { skip: envoyMissing() }, async (t) => {
  const rate = { amount: 1, unit: "SECOND" };
  const { call } = await startLimited(t, [
    [requests(limit(1, { rate }))],
    [requests(limit(1, { rate, scope: "GLOBAL" }))],
  ]);
  for (const index of [0, 1]) {
    const is = (status: number) => async () => (await call(index)).status === status;
    await until("a refusal", is(429));
    await until("the next second", is(200));
    await until("another refusal", is(429));
  }
});

test("a limit of scope CONNECTION holds for each connection by itself", { skip: envoyMissing() }, async (t) => {
  const { http } = await startLimited(t, [[requests(limit(2, { scope: "CONNECTION" }))]]);
  assert.deepEqual(await askOnOneConnection(http(0), 4), [200, 200, 429, 429]);
  assert.deepEqual(await askOnOneConnection(http(0), 3), [200, 200, 429]);
});

/** The statuses of so many requests, one behind the other. */
function askOnOneConnection({ port, destination }: { port: number; destination: number }, times: number) {
  return new Promise<number[]>((resolve) => {
    const socket = connect(port, "127.0.0.1");
    const ask = () => socket.write("GET / HTTP/1.1\r\nhost: app\r\n\r\n");
    let text = "";
    let statuses: number[] = [];
    socket.setEncoding("utf8").on("data", (more: string) => {
      text += more;
      const now = [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status));
      if (now.length === statuses.length) return;
      statuses = now;
      if (statuses.length === times) socket.destroy();
      else ask();
    });
    socket.on("error", () => socket.destroy());
    socket.on("close", () => resolve(statuses));
    socket.write(`PROXY TCP4 127.0.0.1 127.0.0.1 1234 ${destination}\r\n`);
    ask();
  });
}
