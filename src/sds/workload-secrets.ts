import { generateKeyPair } from "node:crypto";
import { promisify } from "node:util";
import { spiffeId, type WorkloadIdentity } from "../ca/identity.ts";
import type { IssueRequest } from "../ca/issue.ts";
import { keepRenewed } from "../ca/keep-renewed.ts";
import type { IssuedCertificate } from "../ca/signer.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import { SecretBytes } from "../platform/secret-bytes.ts";
import { ResourceSet, TYPE_URL } from "../xds/resource-set.ts";
import { buildCertificateSecret, buildTrustBundleSecret } from "./secret-resource.ts";

/** Keys and certificates of the proxies that are connected now; private keys live in memory only. */
export interface WorkloadSecrets {
  /** `onChange` is called when the first secrets are there, and behind every renewal. */
  open(identity: WorkloadIdentity, onChange: () => void): WorkloadSecretsHandle;
}

export interface WorkloadSecretsHandle {
  /** `default` and `ROOTCA`; undefined until the first certificate is issued, then the same set until it changes. */
  current(): ResourceSet | undefined;
  /** The last handle of a workload that closes ends its renewal and forgets its key. */
  close(): void;
}

export interface WorkloadSecretsDeps {
  issue(request: IssueRequest): Promise<IssuedCertificate>;
  /** The roots to trust, as PEM. */
  readonly trustBundle: string;
  readonly clock: Clock;
  readonly random: Pick<Random, "fraction">;
  /** How long each certificate should live. */
  readonly ttlMs: number;
  readonly log: Logger;
  readonly metrics?: SecretMetrics;
}

export interface SecretMetrics {
  issued(): void;
  issueFailed(): void;
}

interface Workload {
  set: ResourceSet | undefined;
  readonly listeners: Set<() => void>;
  readonly stop: () => void;
}

const makeKeyPair = promisify(generateKeyPair);

export function createWorkloadSecrets(deps: WorkloadSecretsDeps): WorkloadSecrets {
  const workloads = new Map<string, Workload>();
  const trustBundle = buildTrustBundleSecret(deps.trustBundle);

  const startWorkload = (identity: WorkloadIdentity): Workload => {
    const listeners = new Set<() => void>();
    const log = deps.log.child({ workload: spiffeId(identity), pod: identity.pod?.name });
    const stop = keepRenewed({
      clock: deps.clock,
      random: deps.random,
      make: () => issueSecret(deps, identity),
      made({ certificate, issued }) {
        workload.set = new ResourceSet(TYPE_URL.secret, [certificate, trustBundle]);
        deps.metrics?.issued();
        log.debug({ serialNumber: issued.serialNumber, notAfter: new Date(issued.notAfter) }, "issued a certificate");
        for (const listener of [...listeners]) listener();
      },
      failed(error, retryMs) {
        deps.metrics?.issueFailed();
        log.error({ err: error, retryMs }, "issuing a certificate failed; the one before stays in use");
      },
    });
    const workload: Workload = { set: undefined, listeners, stop };
    return workload;
  };

  return {
    open(identity, onChange) {
      const key = workloadKey(identity);
      const workload = workloads.get(key) ?? startWorkload(identity);
      workloads.set(key, workload);
      // A function of its own, so that two streams that pass the same callback stay two.
      const listener = (): void => onChange();
      workload.listeners.add(listener);
      return {
        current: () => workload.set,
        close() {
          if (!workload.listeners.delete(listener) || workload.listeners.size > 0) return;
          workload.stop();
          workloads.delete(key);
        },
      };
    },
  };
}

/** Pods of one service account each have a key of their own; streams of one pod share it. */
function workloadKey(identity: WorkloadIdentity): string {
  return JSON.stringify([spiffeId(identity), identity.pod?.name, identity.pod?.uid]);
}

async function issueSecret(deps: WorkloadSecretsDeps, identity: WorkloadIdentity) {
  const keys = await makeKeyPair("ec", { namedCurve: "P-256" });
  const issued = await deps.issue({
    identity,
    publicKey: keys.publicKey.export({ type: "spki", format: "der" }),
    ttlMs: deps.ttlMs,
  });
  const keyPem = new SecretBytes(Buffer.from(keys.privateKey.export({ type: "pkcs8", format: "pem" })));
  return {
    certificate: buildCertificateSecret({ chainPem: issued.chainPem, keyPem }),
    issued,
    notAfter: issued.notAfter,
  };
}
