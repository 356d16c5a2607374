import { isRecord } from "../mesh/conform.ts";
import type { Clock } from "../platform/clock.ts";
import { messageOf } from "../platform/errors.ts";
import type { Logger } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import type { Distributions } from "../status/distribution.ts";
import { buildReport, parseReport } from "../status/distribution-report.ts";
import type { KubernetesClient } from "./client.ts";
import type { KubernetesObject } from "./object.ts";
import { startReflector } from "./reflector.ts";
import { resourcePath } from "./resource-path.ts";

export interface ReplicaReportsDeps {
  readonly client: Pick<KubernetesClient, "list" | "watch" | "patch" | "delete">;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** The control plane's own. */
  readonly namespace: string;
  readonly revision: string;
  /** This replica's name. */
  readonly instance: string;
  /** How far objects have come among the proxies of this replica; the same map for as long as it says the same. */
  distributions(): Distributions;
}

/** What the replicas of one revision tell each other of their proxies, each in a ConfigMap of its own. */
export interface ReplicaReports {
  /** What the others have told of late; none unless this replica leads. The same list for as long as it says the same. */
  elsewhere(): readonly Distributions[];
  /** From now on this replica reads what the others tell, and tells nothing itself. Returns the stop. */
  lead(): () => void;
  stop(): Promise<void>;
}

const LABEL = "trysail.dev/status-report";
const KEY = "report.json";
const LOOK_EVERY_MS = 2000;
/** A report that is not renewed for longer than `GONE_MS` is that of a replica that died. */
const RENEW_MS = 10_000;
const GONE_MS = 30_000;

interface Report {
  readonly version: string;
  readonly seenAtMs: number;
  readonly text: string;
  readonly distributions: Distributions;
}

export function createReplicaReports(deps: ReplicaReportsDeps): ReplicaReports {
  const { client, clock, random, log, namespace, revision, instance } = deps;
  const address = { apiVersion: "v1", resource: "configmaps", namespace };
  // Different for each start: the report of an earlier one is not this replica's.
  const ownName = `trysail-status-${instance.slice(0, 200)}-${Buffer.from(random.bytes(4)).toString("hex")}`;
  const reports = new Map<string, Report>();
  let told: { readonly distributions: Distributions; readonly atMs: number } | undefined;
  let telling: Promise<void> | undefined;
  let leads = false;
  let failing = false;
  let known: readonly Distributions[] = [];

  const tell = async (): Promise<void> => {
    const distributions = deps.distributions();
    const now = clock.elapsed();
    if (told?.distributions === distributions && now - told.atMs < RENEW_MS) return;
    const object = {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: ownName, namespace, labels: { [LABEL]: revision } },
      // The time makes a new version of it, by which others know that this replica lives.
      data: { [KEY]: buildReport(distributions), renewed: new Date(clock.now()).toISOString() },
    };
    try {
      const path = resourcePath({ ...address, name: ownName });
      await client.patch(path, { type: "apply", object, fieldManager: "trysail", force: true });
      told = { distributions, atMs: now };
      failing = false;
    } catch (error) {
      if (!failing)
        log.warn({ name: ownName, reason: messageOf(error) }, "the report for the leader cannot be written");
      failing = true;
    }
  };

  let cancel = () => {};
  const look = (): void => {
    cancel = clock.after(LOOK_EVERY_MS, look);
    if (leads) forgetGone();
    else
      telling ??= tell().finally(() => {
        telling = undefined;
      });
  };
  cancel = clock.after(LOOK_EVERY_MS, look);

  const withdraw = async (): Promise<void> => {
    // What is on its way would be there behind its end.
    await telling;
    if (told === undefined) return;
    told = undefined;
    await client.delete(resourcePath({ ...address, name: ownName })).catch(() => {});
  };

  const forgetGone = (): void => {
    for (const [name, { seenAtMs, version: resourceVersion }] of reports) {
      if (clock.elapsed() - seenAtMs < GONE_MS) continue;
      reports.delete(name);
      changed();
      // Whoever is still there writes it again.
      client.delete(resourcePath({ ...address, name }), { resourceVersion }).catch(() => {});
    }
  };

  const changed = (): void => {
    known = [...reports.values()].map(({ distributions }) => distributions);
  };

  const see = ({ metadata, data }: KubernetesObject): void => {
    const { name = "", resourceVersion = "" } = metadata;
    const before = reports.get(name);
    if (name === ownName || before?.version === resourceVersion) return;
    const text = isRecord(data) ? data[KEY] : undefined;
    if (typeof text !== "string") return;
    const distributions = before?.text === text ? before.distributions : parseReport(text);
    if (distributions === undefined) return;
    reports.set(name, { version: resourceVersion, seenAtMs: clock.elapsed(), text, distributions });
    if (before?.distributions !== distributions) changed();
  };

  const follow = (): (() => void) =>
    startReflector({
      ...{ client, clock, random },
      path: resourcePath(address),
      query: { labelSelector: `${LABEL}=${revision}` },
      sink: {
        beginList() {
          const listed = new Set<string>();
          return {
            add(items) {
              for (const item of items) {
                listed.add(item.metadata.name ?? "");
                see(item);
              }
            },
            end() {
              for (const name of reports.keys()) if (!listed.has(name)) reports.delete(name);
              changed();
            },
          };
        },
        apply({ type, object }) {
          if (type !== "DELETED") see(object);
          else if (reports.delete(object.metadata.name ?? "")) changed();
        },
        stateChanged(state) {
          if (!("error" in state)) return;
          log.warn({ reason: state.error.message }, "what other replicas tell of their proxies cannot be read");
        },
      },
    });

  return {
    elsewhere: () => known,
    lead() {
      leads = true;
      void withdraw();
      const stopFollowing = follow();
      return () => {
        leads = false;
        stopFollowing();
        reports.clear();
        changed();
      };
    },
    async stop() {
      cancel();
      await withdraw();
    },
  };
}
