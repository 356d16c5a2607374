import { createCaBundleKeeper } from "../kubernetes/ca-bundle-keeper.ts";
import { type CertificateSignerDeps, createCertificateSigner } from "../kubernetes/certificate-signer.ts";
import type { KubernetesClient } from "../kubernetes/client.ts";
import type { EventRecorder } from "../kubernetes/event-recorder.ts";
import { startLeaderElection } from "../kubernetes/leader-election.ts";
import { podExists } from "../kubernetes/pod-exists.ts";
import { createRootCertificateKeeper } from "../kubernetes/root-certificate-keeper.ts";
import type { Finding } from "../mesh/finding.ts";
import type { MeshSnapshot } from "../mesh/snapshot.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import { recordContest } from "./authority-events.ts";
import { startFindingEvents } from "./finding-events.ts";
import { leaderLeaseName } from "./required-access.ts";
import { tagSelector } from "./tag-webhooks.ts";
import type { UnmeshedPod } from "./unmeshed.ts";
import { startUnmeshedEvents } from "./unmeshed-events.ts";
import { webhookConfigurationNames } from "./webhook-configurations.ts";

export interface LeaderDutiesDeps {
  readonly kubernetes: KubernetesClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly events: EventRecorder;
  readonly systemNamespace: string;
  /** Replicas of one revision elect a leader among themselves. */
  readonly revision: string;
  /** This replica's name. */
  readonly instance: string;
  /** Whether that is its pod's. */
  readonly isPod: boolean;
  trustBundlePem(): string;
  /** ConfigMaps in which each namespace is to have the trust bundle. */
  readonly rootCertificateMaps: readonly string[];
  /** Whose CertificateSigningRequests are signed, and how; absent where nobody's are. */
  readonly certificateRequests?: Pick<
    CertificateSignerDeps,
    "signerName" | "approves" | "trustDomain" | "certify" | "metrics"
  >;
  mesh(): MeshSnapshot;
  findings(): readonly Finding[];
  unmeshed(): readonly UnmeshedPod[];
  /** Begins to write statuses and returns the stop; absent where another control plane writes them. */
  readonly writeStatuses?: () => () => void;
}

export interface LeaderDuties {
  isLeader(): boolean;
  trustBundleChanged(): void;
  stop(): Promise<void>;
}

/** What one replica alone does in a cluster, once it is elected: what all would write alike, and would write twice. */
export function startLeaderDuties(deps: LeaderDutiesDeps): LeaderDuties {
  const { kubernetes, clock, random, log, systemNamespace, revision, instance, isPod } = deps;
  let trustBundleChanged = () => {};
  const election = startLeaderElection({
    client: kubernetes,
    clock,
    log,
    lease: { namespace: systemNamespace, name: leaderLeaseName(revision) },
    identity: `${instance}_${Buffer.from(random.bytes(8)).toString("hex")}`,
    // Behind `helm uninstall` a leader cannot give its Lease back: its rights are gone before it is told to stop.
    async isGone(identity, signal) {
      const name = identity.slice(0, identity.lastIndexOf("_"));
      return isPod && !(await podExists(kubernetes, { namespace: systemNamespace, name }, signal));
    },
    lead() {
      const caBundles = createCaBundleKeeper({
        ...{ client: kubernetes, clock, random, log },
        names: webhookConfigurationNames(revision),
        mutatingSelector: tagSelector(revision),
        caBundlePem: deps.trustBundlePem(),
      });
      const rootCertificates = createRootCertificateKeeper({
        ...{ client: kubernetes, clock, random, log, names: deps.rootCertificateMaps },
        trustBundlePem: deps.trustBundlePem(),
        onContested: (configMap) => recordContest(deps.events, configMap),
      });
      trustBundleChanged = () => {
        caBundles.setCaBundle(deps.trustBundlePem());
        rootCertificates.setTrustBundle(deps.trustBundlePem());
      };
      const stopUnmeshedEvents = startUnmeshedEvents(deps);
      const stopFindingEvents = startFindingEvents(deps);
      const stopStatuses = deps.writeStatuses?.();
      const stopSigner =
        deps.certificateRequests === undefined
          ? () => {}
          : createCertificateSigner({ ...deps.certificateRequests, client: kubernetes, clock, random, log });
      return () => {
        trustBundleChanged = () => {};
        caBundles.stop();
        rootCertificates.stop();
        stopUnmeshedEvents();
        stopFindingEvents();
        stopStatuses?.();
        stopSigner();
      };
    },
  });
  return { isLeader: election.isLeader, trustBundleChanged: () => trustBundleChanged(), stop: () => election.stop() };
}
