import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { Client, credentials } from "@grpc/grpc-js";
import {
  RateLimitRequestSchema,
  type RateLimitResponse,
  RateLimitResponseSchema,
} from "../../src/gen/envoy/service/ratelimit/v3/rls_pb.ts";
import { type Clock, systemClock } from "../../src/platform/clock.ts";
import { createLog } from "../../src/platform/log.ts";
import { type RunningRateLimit, startRateLimit } from "../../src/ratelimit/start-rate-limit.ts";
import { document } from "./manifests.ts";
import { temporaryPath } from "./state.ts";

/** A RateLimit in namespace `shop`, or another. */
export function rateLimit(name: string, spec: object, namespace = "shop"): string {
  return document({ apiVersion: "trysail.dev/v1alpha1", kind: "RateLimit", metadata: { name, namespace }, spec });
}

export interface TestRateLimit extends RunningRateLimit {
  /** Replaces the manifests that it follows. */
  write(yaml: string): Promise<void>;
  /** A page of its own port for metrics. */
  page(path: string): Promise<Response>;
}

/** The service in this process, on free ports, with the RateLimits of a text of YAML documents. */
export async function startTestRateLimit(
  t: TestContext,
  yaml: string,
  { redisUrl = null, clock = systemClock }: { readonly redisUrl?: string | null; readonly clock?: Clock } = {},
): Promise<TestRateLimit> {
  const dir = await temporaryPath(t, "rate-limits");
  await mkdir(dir);
  const write = async (text: string) => {
    await writeFile(join(dir, ".next"), text);
    await rename(join(dir, ".next"), join(dir, "all.yaml"));
  };
  await write(yaml);
  const local = { host: "127.0.0.1", port: 0 };
  const running = await startRateLimit(
    { source: { kind: "folders", dirs: [dir] }, redisUrl, grpc: local, monitoring: local },
    { clock, log: createLog("silent") },
  );
  let stopping: Promise<void> | undefined;
  const stop = () => {
    stopping ??= running.stop();
    return stopping;
  };
  t.after(stop);
  return {
    ...running,
    stop,
    write,
    page: (path) => fetch(`http://127.0.0.1:${running.ports.monitoring}${path}`),
  };
}

export interface RateLimitClient {
  ask(request: MessageInitShape<typeof RateLimitRequestSchema>): Promise<RateLimitResponse>;
  /** Any bytes in the place of a request. */
  send(bytes: Uint8Array): Promise<RateLimitResponse>;
}

/** Asks as Envoy does. */
export function rateLimitClient(t: TestContext, port: number): RateLimitClient {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  t.after(() => client.close());
  const send = (bytes: Uint8Array) =>
    new Promise<RateLimitResponse>((resolve, reject) => {
      client.makeUnaryRequest(
        "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit",
        (request: Uint8Array) => Buffer.from(request),
        (answer) => fromBinary(RateLimitResponseSchema, answer),
        bytes,
        (error, answer) => (answer === undefined ? reject(error) : resolve(answer)),
      );
    });
  return {
    send,
    ask: (request) => send(toBinary(RateLimitRequestSchema, create(RateLimitRequestSchema, request))),
  };
}
