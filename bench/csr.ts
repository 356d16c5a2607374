import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { loadTokenIssuer, TOKEN_AUDIENCE } from "../src/ca/jwt/token-issuer.ts";
import { systemClock } from "../src/platform/clock.ts";
import { openStateDir } from "../src/platform/state-dir.ts";
import type { ControlPlane } from "./control-plane.ts";
import { during } from "./during.ts";
import { type LoadClient, runClient } from "./load-client.ts";
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

/** Certificates by request, over gRPC and HTTPS, with one token and one CSR; and a push while they are signed. */
export async function measureCsr({ client, controlPlane, scratch, pushEndpoint }: CsrCase) {
  const token = join(scratch, "token");
  const issuer = await loadTokenIssuer({ state: await openStateDir(controlPlane.stateDir), clock: systemClock });
  const workload = { namespace: "default", serviceAccount: "default" };
  await writeFile(token, await issuer.issue({ ...workload, audience: TOKEN_AUDIENCE, ttlMs: 3_600_000 }));

  const ask = (mode: "csr" | "csr-http", count: number) => {
    const port = mode === "csr" ? controlPlane.grpcPort : controlPlane.httpsPort;
    return runClient<CsrResult>(client, [
      ...["-mode", mode, "-target", `127.0.0.1:${port}`, "-ca", controlPlane.rootCertFile, "-token", token],
      ...["-clients", String(WORKERS), "-n", String(count), "-warm-up", "0s"],
    ]);
  };
  const timed = async (mode: "csr" | "csr-http") => {
    await ask(mode, WARM_UP_CERTIFICATES);
    const beganMs = controlPlane.cpuMs();
    const { per_s, p99_ms } = await ask(mode, COUNTED_CERTIFICATES);
    return { per_s, p99_ms, cpuUs: ((controlPlane.cpuMs() - beganMs) * 1000) / COUNTED_CERTIFICATES };
  };
  const grpc = await timed("csr");
  const https = await timed("csr-http");
  const idleMs = await pushEndpoint();
  const busyMs = await during(() => ask("csr", WARM_UP_CERTIFICATES), pushEndpoint);
  const measurements: Measurement[] = [
    { name: `CreateCertificate, TLS, JWT, ${WORKERS} workers`, value: grpc.per_s, target: TARGETS.certificates },
    { name: "CreateCertificate, p99", value: grpc.p99_ms, target: TARGETS.certificateTime },
    { name: "CreateCertificate, processor time a call", value: grpc.cpuUs, target: TARGETS.certificateCpu },
    { name: `POST /v1/certificates, ${WORKERS} workers`, value: https.per_s, target: TARGETS.certificatesHttp },
    { name: "POST /v1/certificates, p99", value: https.p99_ms, target: TARGETS.certificateTime },
    {
      name: "endpoint change while signing (p99)",
      value: busyMs,
      target: { now: null, final: 2 * idleMs, unit: "ms" },
    },
  ];
  return measurements;
}
