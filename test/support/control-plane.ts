import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { loadTokenIssuer, type TokenIssuer } from "../../src/ca/jwt/token-issuer.ts";
import type { ServeConfig } from "../../src/config.ts";
import { type ControlPlane, startControlPlane } from "../../src/main.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { createLog, type Logger } from "../../src/platform/log.ts";
import { openStateDir } from "../../src/platform/state-dir.ts";
import { temporaryPath } from "./state.ts";

export interface TestControlPlane extends ControlPlane {
  /** The folder it serves; write to it to change the mesh. */
  readonly dir: string;
  readonly stateDir: string;
  readonly issuer: TokenIssuer;
  readonly rootPath: string;
}

const LOCAL = { host: "127.0.0.1", port: 0 };

/** Of a control plane that serves a folder, on ports that the system chooses. */
export function testServeConfig(dir: string, stateDir: string): ServeConfig {
  return {
    source: { kind: "folders", dirs: [dir] },
    systemNamespace: "trysail-system",
    stateDir,
    grpc: LOCAL,
    https: LOCAL,
    plaintext: null,
    monitoring: LOCAL,
    http: LOCAL,
    maxConnections: 1000,
    maxConnectionsPerAddress: 1000,
    trustDomain: "cluster.local",
    workloadCertTtlMs: 3_600_000,
    caDir: null,
    certificateRequests: null,
    externalSigner: null,
    rootTtlMs: 3650 * 86_400_000,
    rootPropagationMs: 86_400_000,
    rootCertificateMaps: ["trysail-ca-root-cert"],
    proxyReconnectMs: 1000,
    maxConnectionAgeMs: 30 * 60_000,
    authenticators: [{ kind: "mesh-token" }, { kind: "client-certificate" }],
    tokenAudiences: ["istio-ca"],
    trustedNodeAccounts: [],
    servingNames: [],
    writeStatus: true,
    readsRemoteClusters: false,
    injectionConfigFile: null,
    logLevel: "silent",
  };
}

/** A whole control plane in this process, on ports the system chose, serving a folder with the given files. */
export async function testControlPlane(
  t: TestContext,
  files: Readonly<Record<string, string>>,
  overrides: Partial<ServeConfig> = {},
  log: Logger = createLog("silent"),
): Promise<TestControlPlane> {
  const dir = await temporaryPath(t, "manifests");
  await mkdir(dir);
  for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text);
  const stateDir = await temporaryPath(t, "state");
  const config = { ...testServeConfig(dir, stateDir), ...overrides };
  const controlPlane = await startControlPlane(config, log);
  t.after(() => controlPlane.stop());
  const issuer = await loadTokenIssuer({ state: await openStateDir(stateDir), clock: systemClock });
  return { ...controlPlane, dir, stateDir, issuer, rootPath: join(stateDir, "ca/root-cert.pem") };
}
