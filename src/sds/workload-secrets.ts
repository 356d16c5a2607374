import { createPrivateKey } from "node:crypto";
import { spiffeId, type WorkloadIdentity } from "../ca/identity.ts";
import type { IssueRequest } from "../ca/issue.ts";
import { keepRenewed, type Renewal } from "../ca/serving/keep-renewed.ts";
import type { IssuedCertificate } from "../ca/signer.ts";
import { buildCsr } from "../ca/x509/build-csr.ts";
import { uriName } from "../ca/x509/extensions.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import type { TrustBundle } from "../platform/trust-bundle.ts";
import { type EncodedResource, ResourceSet, TYPE_URL } from "../xds/resource-set.ts";
import type { KeyPool } from "./key-pool.ts";
import type { RenewalTurns } from "./renewal-turns.ts";
import { buildCertificateSecret, buildTrustBundleSecret, type Federation } from "./secret-resource.ts";

/** Keys and certificates of the proxies that are connected now; private keys live in memory only. */
export interface WorkloadSecrets {
  /** `onChange` is called when the first secrets are there, and behind every renewal. */
  open(identity: WorkloadIdentity, onChange: () => void): WorkloadSecretsHandle;
  /** Sends every proxy whom to trust, where that is another than before. */
  setTrustBundle(trustBundle: TrustBundle): void;
  /** Sends every proxy whom the mesh knows beside itself, where that is another than before; null is nobody. */
  setFederation(federation: Federation | null): void;
  /** Whether proxies are sent other trust domains' roots beside the mesh's own, and so no revocation lists. */
  isFederated(): boolean;
  /** The version of the resource `ROOTCA` that proxies are sent now. */
  trustBundleVersion(): string;
  /** Renews every certificate at a moment of its own within `windowMs`, as when another authority signs. */
  renewAll(windowMs: number): void;
}

export interface WorkloadSecretsHandle {
  /** `default` and `ROOTCA`; undefined until the first certificate is issued, then the same set until it changes. */
  current(): ResourceSet | undefined;
  /** The last handle of a workload that closes ends its renewal and forgets its key. */
  close(): void;
}

export interface WorkloadSecretsDeps {
  issue(request: IssueRequest): Promise<IssuedCertificate>;
  /** Whom to trust at the start. */
  readonly trustBundle: TrustBundle;
  readonly keys: Pick<KeyPool, "take">;
  readonly turns: RenewalTurns;
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
  certificate: EncodedResource | undefined;
  set: ResourceSet | undefined;
  readonly listeners: Set<() => void>;
  readonly renewal: Renewal;
}

export function createWorkloadSecrets(deps: WorkloadSecretsDeps): WorkloadSecrets {
  const workloads = new Map<string, Workload>();
  let trusted = deps.trustBundle;
  let federation: Federation | null = null;
  let trustBundle = buildTrustBundleSecret(trusted);

  const tell = (workload: Workload): void => {
    if (workload.certificate === undefined) return;
    workload.set = new ResourceSet(TYPE_URL.secret, [workload.certificate, trustBundle]);
    for (const listener of [...workload.listeners]) listener();
  };

  const sendTrust = (): void => {
    const next = buildTrustBundleSecret(trusted, federation);
    if (next.version === trustBundle.version) return;
    trustBundle = next;
    for (const workload of workloads.values()) tell(workload);
  };

  const startWorkload = (identity: WorkloadIdentity): Workload => {
    const log = deps.log.child({ workload: spiffeId(identity), pod: identity.pod?.name });
    const renewal = keepRenewed({
      clock: deps.clock,
      random: deps.random,
      make: () => deps.turns.run(() => issueSecret(deps, identity)),
      made({ certificate, issued }) {
        workload.certificate = certificate;
        deps.metrics?.issued();
        log.debug({ serialNumber: issued.serialNumber, notAfter: new Date(issued.notAfter) }, "issued a certificate");
        tell(workload);
      },
      failed(error, retryMs) {
        deps.metrics?.issueFailed();
        log.error({ err: error, retryMs }, "issuing a certificate failed; the one before stays in use");
      },
    });
    const workload: Workload = { certificate: undefined, set: undefined, listeners: new Set(), renewal };
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
          workload.renewal.stop();
          workloads.delete(key);
        },
      };
    },
    setTrustBundle(next) {
      trusted = next;
      sendTrust();
    },
    setFederation(next) {
      if (next === null && federation === null) return;
      federation = next;
      sendTrust();
    },
    isFederated: () => federation !== null,
    trustBundleVersion: () => trustBundle.version,
    renewAll(windowMs) {
      for (const { renewal } of workloads.values()) renewal.renewWithin(windowMs);
    },
  };
}

/** Pods of one service account each have a key of their own; streams of one pod share it. */
function workloadKey(identity: WorkloadIdentity): string {
  return JSON.stringify([spiffeId(identity), identity.pod?.name, identity.pod?.uid]);
}

async function issueSecret(deps: WorkloadSecretsDeps, identity: WorkloadIdentity) {
  const { publicKey, privateKeyPem } = await deps.keys.take();
  try {
    const csr = () => {
      // The very bytes that are wiped below, and no copy of them.
      const { buffer, byteOffset, byteLength } = privateKeyPem.reveal();
      const privateKey = createPrivateKey(Buffer.from(buffer, byteOffset, byteLength));
      return buildCsr({ publicKey, privateKey, names: [uriName(spiffeId(identity))] });
    };
    const issued = await deps.issue({ identity, publicKey, ttlMs: deps.ttlMs, csr });
    const certificate = buildCertificateSecret({ chainPem: issued.chainPem, keyPem: privateKeyPem });
    return { certificate, issued, notAfter: issued.notAfter };
  } finally {
    // The encoded secret holds a copy, which goes to the proxy.
    privateKeyPem.wipe();
  }
}
