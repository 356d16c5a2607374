import type { TestContext } from "node:test";
import type { Metadata } from "@grpc/grpc-js";
import type { WorkloadIdentity } from "../../src/ca/identity.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { TrysailError } from "../../src/platform/errors.ts";
import { createGrpcServer, type GrpcServer } from "../../src/platform/grpc-server.ts";
import { createLog } from "../../src/platform/log.ts";
import { type AdsLimits, type AdsService, createAdsService } from "../../src/xds/ads-service.ts";
import type { ProxyResources } from "../../src/xds/resource-set.ts";
import { fakeSource } from "./fake-source.ts";
import { grpcCertificate } from "./grpc-certificate.ts";

/** What the observer of answers saw: `acked Listener`, `rejected Listener: no`. */
export type Answers = string[];

export interface TestAds {
  readonly service: AdsService;
  readonly server: GrpcServer;
  readonly source: ReturnType<typeof fakeSource>;
  readonly answers: Answers;
  readonly tlsPort: number;
  readonly plaintextPort: number;
  readonly rootPem: string;
}

/** Who a token of the tests stands for: `Bearer NAMESPACE/SERVICE-ACCOUNT`. */
export async function authenticateTestToken(metadata: Metadata): Promise<WorkloadIdentity> {
  const match = /^Bearer ([a-z]+)\/([a-z]+)$/.exec(String(metadata.get("authorization")[0] ?? ""));
  const [, namespace, serviceAccount] = match ?? [];
  if (!namespace || !serviceAccount) throw new TrysailError("unauthenticated", "no valid token");
  return { trustDomain: "cluster.local", namespace, serviceAccount };
}

/** A real server on ports of its own that serves `resources` to everyone, stopped with the test. */
export async function startTestAds(
  t: TestContext,
  resources: ProxyResources,
  limits: Partial<AdsLimits> = {},
): Promise<TestAds> {
  const log = createLog("silent");
  const source = fakeSource(resources);
  const answers: Answers = [];
  const service = createAdsService({
    source,
    acks: {
      acked: (_, typeUrl) => answers.push(`acked ${typeUrl.split(".").at(-1)}`),
      disconnected: () => undefined,
      rejected: (_, typeUrl, __, message) => answers.push(`rejected ${typeUrl.split(".").at(-1)}: ${message}`),
    },
    log,
    clock: systemClock,
    limits,
    authenticate: authenticateTestToken,
  });
  const { certificate, rootPem } = await grpcCertificate(t, ["localhost"]);
  const server = createGrpcServer({ certificate, clientTrust: { rootsPem: rootPem, revocationListsPem: "" }, log });
  t.after(() => server.stop(0));
  service.register(server);
  const [tlsPort, plaintextPort] = [await server.listen("127.0.0.1:0"), await server.listenPlaintext("127.0.0.1:0")];
  return { service, server, source, answers, tlsPort, plaintextPort, rootPem };
}
