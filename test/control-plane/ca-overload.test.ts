import assert from "node:assert/strict";
import { request } from "node:https";
import { type TestContext, test } from "node:test";
import { Client, credentials, type ServiceError, status } from "@grpc/grpc-js";
import { answerCsr } from "../../src/ca/answer-csr.ts";
import { type CertifyDeps, certify } from "../../src/ca/certify.ts";
import { issue } from "../../src/ca/issue.ts";
import { Refusal } from "../../src/ca/refusal.ts";
import { createServingCertificate } from "../../src/ca/serving/serving-certificate.ts";
import { localSignatures } from "../../src/ca/signatures.ts";
import { createSigningQueue } from "../../src/ca/signing-queue.ts";
import { caRoutes } from "../../src/ca-api/api-routes.ts";
import { addCertificateService } from "../../src/ca-api/certificate-service.ts";
import { createHttpsServer } from "../../src/control-plane/https-server.ts";
import { listen } from "../../src/control-plane/listen.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { createGrpcServer } from "../../src/platform/grpc-server.ts";
import { createLog } from "../../src/platform/log.ts";
import { issueBy, temporaryAuthority } from "../support/authority.ts";
import { until } from "../support/until.ts";

/** What callers of both ports see of an authority that is asked for more than it can sign. */

const METHOD = "/istio.v1.auth.IstioCertificateService/CreateCertificate";
const identity = { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "cart" };

interface Overloaded {
  readonly rootPem: string;
  readonly grpcPort: number;
  readonly httpsPort: number;
  /** Reasons, in the order in which they were counted. */
  readonly counted: readonly string[];
  /** Lets the queue go on. */
  release(): Promise<void>;
}

/** Both real servers before one real queue, in which one signature hangs and another waits, so that it is full. */
async function startOverloaded(t: TestContext, beforeAnswer = () => {}): Promise<Overloaded> {
  const log = createLog("silent");
  const { signer, trustBundlePem } = await temporaryAuthority(t, systemClock);
  const serving = createServingCertificate({
    issue: issueBy(signer, systemClock),
    clock: systemClock,
    log,
    hosts: ["localhost"],
  });
  await serving.start();
  t.after(() => serving.stop());

  const queue = createSigningQueue({ atOnce: 1, maxWaiting: 1 });
  const hanging = Promise.withResolvers<void>();
  const running = [queue.run("cart", () => hanging.promise), queue.run("cart", async () => {})];
  const counted: string[] = [];
  const deps: CertifyDeps = {
    ...{ queue, log, defaultTtlMs: 60_000 },
    authenticate: async () => identity,
    impersonate: () => identity,
    async answer(asked) {
      beforeAnswer();
      return answerCsr(
        {
          signatures: localSignatures,
          issue: (known) => issue({ signer, clock: systemClock, maxTtlMs: 60_000 }, known),
        },
        asked,
      );
    },
    metrics: { issued: () => {}, refused: (reason) => counted.push(reason) },
  };
  const ca = {
    certify: (asked: Parameters<typeof certify>[1]) => certify(deps, asked),
    trustBundlePem: () => trustBundlePem,
    log,
  };
  const { chainPem, keyPem } = serving.current();
  const clientTrust = { rootsPem: trustBundlePem, revocationListsPem: "" };
  const grpc = createGrpcServer({
    certificate: { certPem: chainPem, keyPem: Buffer.from(keyPem.reveal()).toString() },
    clientTrust,
    log,
  });
  addCertificateService(grpc, ca);
  t.after(() => grpc.stop(0));
  const jwtSvids = { keys: [], issue: async () => ({ token: "", notAfter: 0 }) };
  const routes = caRoutes({ ...ca, jwtSvids, authenticate: deps.authenticate });
  const https = await createHttpsServer(serving.current(), [routes], clientTrust);
  t.after(() => https.app.close());
  return {
    rootPem: trustBundlePem,
    grpcPort: await grpc.listen("127.0.0.1:0"),
    httpsPort: await listen(https.app, "--https-addr", { host: "127.0.0.1", port: 0 }),
    counted,
    async release() {
      hanging.resolve();
      await Promise.all(running);
    },
  };
}

function create(t: TestContext, { rootPem, grpcPort }: Overloaded, options: Record<string, string> = {}) {
  const client = new Client(`localhost:${grpcPort}`, credentials.createSsl(Buffer.from(rootPem)), options);
  t.after(() => client.close());
  const asIs = (buffer: Buffer) => buffer;
  return new Promise<{ error: ServiceError | null; tookMs: number }>((resolve) => {
    const began = performance.now();
    client.makeUnaryRequest(METHOD, asIs, asIs, Buffer.alloc(0), (error) =>
      resolve({ error, tookMs: performance.now() - began }),
    );
  });
}

test("over gRPC who comes to a full queue is sent away at once, and told when to come again", async (t) => {
  const overloaded = await startOverloaded(t);
  const { error } = await create(t, overloaded, { "grpc.enable_retries": "0" });
  assert.equal(error?.code, status.RESOURCE_EXHAUSTED);
  assert.equal(error.details, "too many requests: ask again in a second");
  assert.deepEqual(error.metadata.get("grpc-retry-pushback-ms"), ["1000"]);
  assert.deepEqual(overloaded.counted, ["overloaded"]);
});

test("over gRPC who comes while nobody can sign is told when to come again, too", async (t) => {
  const down = await startOverloaded(t, () => {
    throw new Refusal("signer-unavailable", "the signer does not answer");
  });
  await down.release();
  const { error } = await create(t, down, { "grpc.enable_retries": "0" });
  assert.equal(error?.code, status.UNAVAILABLE);
  assert.deepEqual(error.metadata.get("grpc-retry-pushback-ms"), ["1000"]);
});

test("gRPC's own client waits as long as it is told, then is answered", async (t) => {
  const overloaded = await startOverloaded(t);
  const retryPolicy = {
    ...{ maxAttempts: 2, initialBackoff: "0.001s", maxBackoff: "0.001s", backoffMultiplier: 1 },
    retryableStatusCodes: ["RESOURCE_EXHAUSTED"],
  };
  const methodConfig = [{ name: [{}], retryPolicy }];
  const answer = create(t, overloaded, {
    "grpc.service_config": JSON.stringify({ methodConfig, loadBalancingConfig: [] }),
  });
  await until("the first refusal", () => overloaded.counted.length === 1);
  await overloaded.release();
  const { error, tookMs } = await answer;
  // An empty request is malformed, which only a queue that has room for it finds out.
  assert.equal(error?.code, status.INVALID_ARGUMENT);
  assert.deepEqual(overloaded.counted, ["overloaded", "csr-malformed"]);
  assert.ok(tookMs >= 1000, `it came again after ${tookMs} ms`);
});

test("over HTTPS the same is 429, with Retry-After", async (t) => {
  const overloaded = await startOverloaded(t);
  const ask = () =>
    new Promise<{ status: number | undefined; retryAfter: string | undefined }>((resolve, reject) => {
      const asking = request({
        ...{ host: "localhost", port: overloaded.httpsPort, ca: overloaded.rootPem, method: "POST" },
        ...{ path: "/v1/certificates", headers: { "content-type": "text/plain" }, agent: false },
      });
      asking.on("error", reject);
      asking.on("response", (answer) => {
        answer.resume();
        resolve({ status: answer.statusCode, retryAfter: answer.headers["retry-after"] });
      });
      asking.end("csr");
    });
  assert.deepEqual(await ask(), { status: 429, retryAfter: "1" });
  assert.deepEqual(overloaded.counted, ["overloaded"]);
  await overloaded.release();
  assert.deepEqual(await ask(), { status: 400, retryAfter: undefined });
});
