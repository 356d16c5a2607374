import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { loadTokenIssuer, TOKEN_AUDIENCE } from "../src/ca/jwt/token-issuer.ts";
import { systemClock } from "../src/platform/clock.ts";
import { openStateDir } from "../src/platform/state-dir.ts";
import { startBareServer } from "./bare-server.ts";
import type { ControlPlane } from "./control-plane.ts";
import { during } from "./during.ts";
import { type LoadClient, runClient } from "./load-client.ts";
import { inTurn, median } from "./median.ts";
import { type Measurement, TARGETS } from "./targets.ts";

export interface CsrCase {
  /** The Go client: the other one knows no certificate requests. */
  readonly client: LoadClient;
  readonly controlPlane: ControlPlane;
  readonly scratch: string;
  /** Changes an endpoint; the p99 of its way to every proxy, in ms. */
  pushEndpoint(): Promise<number>;
}

interface CsrResult {
  readonly n: number;
  readonly per_s: number;
  readonly p99_ms: number;
}

const WORKERS = 32;
const WARM_UP_CERTIFICATES = 10_000;
const COUNTED_CERTIFICATES = 20_000;
/** One change is one sample, so that of several the middle one counts. */
const PUSHES = 3;
const PROBES = 100;

/** Certificates by request, over gRPC and HTTPS, with one token and one CSR; and what else goes on while they are signed. */
export async function measureCsr({ client, controlPlane, scratch, pushEndpoint }: CsrCase) {
  const token = join(scratch, "token");
  const issuer = await loadTokenIssuer({ state: await openStateDir(controlPlane.stateDir), clock: systemClock });
  const workload = { namespace: "default", serviceAccount: "default" };
  await writeFile(token, await issuer.issue({ ...workload, audience: TOKEN_AUDIENCE, ttlMs: 3_600_000 }));

  const ask = (mode: Mode, server: Asked, count: number) =>
    runClient<CsrResult>(client, [
      ...["-mode", mode, "-target", `127.0.0.1:${server.port}`, "-ca", server.rootCertFile, "-token", token],
      ...["-clients", String(WORKERS), "-n", String(count), "-warm-up", "0s"],
    ]);
  const timed = async (mode: Mode, server: Asked) => {
    await ask(mode, server, WARM_UP_CERTIFICATES);
    const beganMs = server.cpuMs();
    const { per_s, p99_ms } = await ask(mode, server, COUNTED_CERTIFICATES);
    return { per_s, p99_ms, cpuUs: ((server.cpuMs() - beganMs) * 1000) / COUNTED_CERTIFICATES };
  };
  const { cpuMs, rootCertFile } = controlPlane;
  const grpcServer = { port: controlPlane.grpcPort, cpuMs, rootCertFile };
  const grpc = await timed("csr", grpcServer);
  const bareServer = await startBareServer(scratch);
  const bare = await timed("csr", bareServer).finally(() => bareServer.stop());
  const https = await timed("csr-http", { ...grpcServer, port: controlPlane.httpsPort });

  const signing = () => ask("csr", grpcServer, WARM_UP_CERTIFICATES);
  const idleMs = median(await inTurn(PUSHES, pushEndpoint));
  const busyMs = median(await during(signing, () => inTurn(PUSHES, pushEndpoint)));
  const probesMs = await during(signing, () => inTurn(PROBES, controlPlane.probeMs));
  const measurements: Measurement[] = [
    { name: `CreateCertificate, TLS, JWT, ${WORKERS} workers`, value: grpc.per_s, target: TARGETS.certificates },
    { name: "  a bare server that checks and signs once", value: bare.per_s, target: TARGETS.bareServer },
    { name: "CreateCertificate, p99", value: grpc.p99_ms, target: TARGETS.certificateTime },
    { name: "CreateCertificate, processor time a call", value: grpc.cpuUs, target: TARGETS.certificateCpu },
    { name: "  a bare server's", value: bare.cpuUs, target: TARGETS.bareServerCpu },
    { name: `POST /v1/certificates, ${WORKERS} workers`, value: https.per_s, target: TARGETS.certificatesHttp },
    { name: "POST /v1/certificates, p99", value: https.p99_ms, target: TARGETS.certificateTime },
    {
      name: "endpoint change while signing (p99)",
      value: busyMs,
      target: { now: Math.round(2 * idleMs), final: Math.round(2 * idleMs), unit: "ms" },
    },
    { name: "/ready while signing (p99)", value: p99(probesMs), target: TARGETS.probe },
  ];
  return measurements;
}

type Mode = "csr" | "csr-http";

/** What is asked for certificates. */
interface Asked {
  readonly port: number;
  readonly rootCertFile: string;
  cpuMs(): number;
}

/** All but the worst of a hundred. */
function p99(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.ceil(values.length * 0.99) - 1] ?? Number.NaN;
}
