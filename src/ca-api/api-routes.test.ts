import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { type FastifyInstance, fastify } from "fastify";
import { until } from "../../test/support/until.ts";
import { Refusal, type RefusalReason } from "../ca/refusal.ts";
import { createSigningQueue } from "../ca/signing-queue.ts";
import { TrysailError } from "../platform/errors.ts";
import { createLog } from "../platform/log.ts";
import { type CaRoutesDeps, caRoutes } from "./api-routes.ts";
import { buildOpenApi } from "./openapi.ts";

const identity = { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "cart" };

async function application(
  t: TestContext,
  certify: CaRoutesDeps["certify"],
  overrides: Partial<CaRoutesDeps> = {},
): Promise<FastifyInstance> {
  const app = fastify();
  t.after(() => app.close());
  await app.register(
    caRoutes({
      certify,
      authenticate: async () => identity,
      jwtSvids: { keys: [], issue: async () => ({ token: "token", notAfter: 0 }) },
      trustBundlePem: () => "",
      log: createLog("silent"),
      ...overrides,
    }),
  );
  return app;
}

const CERTIFICATES = { method: "POST", url: "/v1/certificates", headers: { "content-type": "text/plain" } } as const;
const issued = { identity, chainPem: "chain", serialNumber: "01", notAfter: 0 };

/** The type makes this list complete. */
const STATUS: Record<RefusalReason, number> = {
  "no-credentials": 401,
  "token-too-long": 401,
  "token-malformed": 401,
  "token-untrusted-issuer": 401,
  "token-bad-signature": 401,
  "token-wrong-audience": 401,
  "token-expired": 401,
  "token-not-yet-valid": 401,
  "token-lacks-claim": 401,
  "token-no-workload": 401,
  "token-rejected": 401,
  "token-unbound": 401,
  "requester-no-workload": 401,
  "client-certificate": 401,
  impersonation: 403,
  "identity-revoked": 403,
  "issuer-unavailable": 503,
  "signer-denied": 403,
  "signer-failed": 503,
  "signer-unavailable": 503,
  "csr-too-large": 413,
  "csr-malformed": 400,
  "csr-weak-key": 400,
  "csr-unsupported-key": 400,
  "csr-bad-signature": 400,
  "csr-other-names": 400,
  "csr-lacks-name": 400,
  "csr-other-usages": 400,
  "csr-too-old": 400,
  "bad-request": 400,
  "unsupported-media-type": 415,
  overloaded: 429,
};

function isReason(text: string): text is RefusalReason {
  return text in STATUS;
}

test("every reason to refuse has its status, and is told as the OpenAPI document says", async (t) => {
  const documented = Object.keys(operationsOf(buildOpenApi()).get("POST /v1/certificates") ?? {});
  for (const reason of Object.keys(STATUS).filter(isReason)) {
    const status = STATUS[reason];
    const app = await application(t, async () => {
      throw new Refusal(reason, "no", { cause: new Error("a secret of the log") });
    });
    const answer = await app.inject({ ...CERTIFICATES, payload: "csr" });
    assert.deepEqual([answer.statusCode, answer.json()], [status, { error: "no", reason }]);
    assert.ok(documented.includes(String(status)), `${status} is not documented`);
    assert.equal(answer.headers["www-authenticate"], status === 401 ? "Bearer" : undefined);
    assert.equal(answer.headers["retry-after"], status === 429 || status === 503 ? "1" : undefined);
  }
});

test("docs/ca.md lists every reason to refuse with its status", () => {
  const page = readFileSync(new URL("../../docs/ca.md", import.meta.url), "utf8");
  const rows = page.matchAll(/^\| `([a-z-]+)` \| ([0-9]{3}) \| `[A-Z_]+` \|$/gm);
  assert.deepEqual(Object.fromEntries([...rows].map(([, reason, status]) => [reason, Number(status)])), STATUS);
});

test("what fails for a reason of our own is told as that alone", async (t) => {
  const failures = [new Error("a secret"), new TrysailError("internal", "no certificate could be issued")];
  for (const failure of failures) {
    const app = await application(t, async () => {
      throw failure;
    });
    const answer = await app.inject({ ...CERTIFICATES, payload: "csr" });
    assert.equal(answer.statusCode, 500);
    assert.doesNotMatch(answer.body, /secret/);
  }
});

test("who comes while too many wait is sent away at once, told when to come again, and the others are served", async (t) => {
  const queue = createSigningQueue({ atOnce: 1, maxWaiting: 1 });
  const release = Promise.withResolvers<void>();
  const started = Promise.withResolvers<void>();
  const app = await application(t, () =>
    queue.run("cart", async () => {
      started.resolve();
      await release.promise;
      return issued;
    }),
  );
  const ask = () => app.inject({ ...CERTIFICATES, payload: "csr" });
  const first = ask().then(({ statusCode }) => statusCode);
  await started.promise;
  const answers: number[] = [];
  const later = [ask(), ask(), ask()].map((answer) => answer.then(({ statusCode }) => answers.push(statusCode)));
  await until("two refusals", () => answers.length === 2);
  assert.deepEqual(answers, [429, 429]);
  release.resolve();
  await Promise.all(later);
  assert.deepEqual([await first, ...answers], [200, 429, 429, 200]);
});

test("the OpenAPI document describes the routes that there are, and no others", async () => {
  const routes = new Set<string>();
  const app = fastify({ exposeHeadRoutes: false });
  app.addHook("onRoute", ({ method, url }) => {
    routes.add(`${method} ${url}`);
  });
  const never = () => Promise.reject(new Error("nobody asks"));
  await app.register(
    caRoutes({
      ...{ certify: never, authenticate: never, trustBundlePem: () => "", log: createLog("silent") },
      jwtSvids: { keys: [], issue: never },
    }),
  );
  await app.close();
  assert.deepEqual([...operationsOf(buildOpenApi()).keys()].sort(), [...routes].sort());
});

/** The responses of each operation, by its method and path. */
function operationsOf({ paths }: ReturnType<typeof buildOpenApi>): Map<string, Readonly<Record<string, object>>> {
  return new Map(
    Object.entries(paths).flatMap(([path, item]) =>
      Object.entries(item).map(([method, { responses }]) => [`${method.toUpperCase()} ${path}`, responses]),
    ),
  );
}

const unread: [method: "GET" | "POST", url: string, type: string, says: string][] = [
  [
    ...(["POST", "/v1/certificates?ttl=60", "text/plain"] as const),
    "ttl: it takes ttlSeconds, and a JSON body takes csr, ttlSeconds, impersonatedIdentity",
  ],
  [
    ...(["POST", "/v1/certificates?ttlSeconds=60", "application/json"] as const),
    "ttlSeconds: a JSON body takes csr, ttlSeconds, impersonatedIdentity",
  ],
  ["POST", "/v1/jwt-svids?audience=ledger", "application/json", "audience: the body takes audience, ttlSeconds"],
  ["GET", "/v1/trust-bundle?format=pem&Format=spiffe", "", "Format: it takes format"],
  ["GET", "/v1/trust-bundle?__proto__=pem", "", "__proto__: it takes format"],
  ["GET", "/v1/openapi.json?format=yaml", "", "format: it takes none"],
];
for (const [method, url, type, says] of unread) {
  test(`${method} ${url} is refused, since nobody would read it, with where it belongs`, async (t) => {
    const app = await application(t, async () => issued);
    const body = { headers: { "content-type": type }, payload: '{"csr":"pem","audience":["ledger"]}' };
    const answer = await app.inject({ method, url, ...(method === "POST" && body) });
    const error = `the URL may not have the parameter ${says}`;
    assert.deepEqual([answer.statusCode, answer.json()], [400, { error, reason: "bad-request" }]);
    const documented = operationsOf(buildOpenApi()).get(`${method} ${url.replace(/\?.*/, "")}`) ?? {};
    assert.ok("400" in documented);
  });
}

test("a parameter that is no name but something long is not told in full", async (t) => {
  const app = await application(t, async () => issued);
  const { statusCode, body } = await app.inject({ method: "GET", url: `/v1/trust-bundle?${"a".repeat(900)}` });
  assert.equal(statusCode, 400);
  assert.ok(body.length < 200, body);
});

test("a JWT-SVID is counted under the reason for which it is refused", async (t) => {
  const counted: string[] = [];
  const app = await application(t, async () => issued, { metrics: { refused: (reason) => counted.push(reason) } });
  const ask = async (type: string, payload: string) =>
    (await app.inject({ method: "POST", url: "/v1/jwt-svids", headers: { "content-type": type }, payload })).statusCode;
  assert.equal(await ask("application/json; charset=utf-8", '{"audience":["ledger"]}'), 200);
  assert.equal(await ask("text/plain", '{"audience":["ledger"]}'), 415);
  for (const body of ["", "{", "[]", "{}", '{"audience":[]}', '{"audience":[""]}', '{"audience":["a"],"sub":"b"}']) {
    assert.equal(await ask("application/json", body), 400, body);
  }
  assert.deepEqual(counted, ["unsupported-media-type", ...Array(7).fill("bad-request")]);
  const misspelt = { csr: "pem", ttl: 60 };
  const headers = { "content-type": "application/json" };
  const answer = await app.inject({ ...CERTIFICATES, headers, payload: JSON.stringify(misspelt) });
  assert.equal(answer.json().error, "the body may not have /ttl: it takes csr, ttlSeconds, impersonatedIdentity");
});
