import { isRecord } from "../mesh/conform.ts";
import type { Clock } from "../platform/clock.ts";
import { messageOf } from "../platform/errors.ts";
import type { Logger } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import type { KubernetesClient } from "./client.ts";
import type { KubernetesObject } from "./object.ts";
import { startReflector } from "./reflector.ts";
import { resourcePath } from "./resource-path.ts";

/** What replicas tell each other about: `R` is what one of them tells. */
export interface ReportSubject<R> {
  /** Called so in logs. */
  readonly title: string;
  /** ConfigMaps begin with it. */
  readonly namePrefix: string;
  /** Their label, whose value is the revision of the control plane. */
  readonly label: string;
  build(report: R): string;
  /** Undefined for what is no report. */
  parse(text: string): R | undefined;
}

export interface ReplicaReportsDeps<R> {
  readonly client: Pick<KubernetesClient, "list" | "watch" | "patch" | "delete">;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly subject: ReportSubject<R>;
  /** Whom it listens to: the replicas of its revision, or those of each. */
  readonly among: "revision" | "namespace";
  /** The control plane's own. */
  readonly namespace: string;
  readonly revision: string;
  /** This replica's name. */
  readonly instance: string;
  /** What this replica has to tell; the same object for as long as it says the same. */
  current(): R;
}

/** What replicas tell each other, each in a ConfigMap of its own. */
export interface ReplicaReports<R> {
  /** What the others have told of late, once they are followed. The same list for as long as it says the same. */
  elsewhere(): readonly R[];
  /** Why `elsewhere` may not be all; null where it is. */
  unheard(): string | null;
  /** When another replica was last found to be gone, in milliseconds since the epoch; 0 where none was. */
  lastGoneAt(): number;
  /** From now on this replica reads what the others tell. Returns the stop. */
  follow(): () => void;
  /** The same, and it tells nothing itself meanwhile. */
  lead(): () => void;
  stop(): Promise<void>;
}

const KEY = "report.json";
const LOOK_EVERY_MS = 2000;
/** A report that is not renewed for longer than `GONE_MS` is that of a replica that died. */
const RENEW_MS = 10_000;
const GONE_MS = 30_000;

interface Heard<R> {
  readonly version: string;
  readonly seenAtMs: number;
  readonly text: string;
  readonly report: R;
}

export function createReplicaReports<R extends object>(deps: ReplicaReportsDeps<R>): ReplicaReports<R> {
  const { client, clock, random, log, subject, namespace, revision, instance } = deps;
  const { title } = subject;
  const address = { apiVersion: "v1", resource: "configmaps", namespace };
  // Different for each start: the report of an earlier one is not this replica's.
  const ownName = `${subject.namePrefix}-${instance.slice(0, 200)}-${Buffer.from(random.bytes(4)).toString("hex")}`;
  const reports = new Map<string, Heard<R>>();
  let told: { readonly report: R; readonly atMs: number } | undefined;
  let telling: Promise<void> | undefined;
  let leads = false;
  let failing = false;
  let known: readonly R[] = [];
  let unheard: string | null = `what other replicas tell of ${title} is not read yet`;
  let lastGoneAt = 0;

  const tell = async (): Promise<void> => {
    const report = deps.current();
    const now = clock.elapsed();
    if (told?.report === report && now - told.atMs < RENEW_MS) return;
    const object = {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: ownName, namespace, labels: { [subject.label]: revision } },
      // The time makes a new version of it, by which others know that this replica lives.
      data: { [KEY]: subject.build(report), renewed: new Date(clock.now()).toISOString() },
    };
    try {
      const path = resourcePath({ ...address, name: ownName });
      await client.patch(path, { type: "apply", object, fieldManager: "trysail", force: true });
      told = { report, atMs: now };
      failing = false;
    } catch (error) {
      if (!failing) log.warn({ name: ownName, reason: messageOf(error) }, `${title} cannot be told to other replicas`);
      failing = true;
    }
  };

  let cancel = () => {};
  const look = (): void => {
    cancel = clock.after(LOOK_EVERY_MS, look);
    forgetGone();
    if (leads) return;
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
      forget(name);
      // Whoever is still there writes it again.
      client.delete(resourcePath({ ...address, name }), { resourceVersion }).catch(() => {});
    }
  };

  const forget = (name: string): void => {
    if (!reports.delete(name)) return;
    lastGoneAt = clock.now();
    changed();
  };

  const changed = (): void => {
    known = [...reports.values()].map(({ report }) => report);
  };

  const see = ({ metadata, data }: KubernetesObject): void => {
    const { name = "", resourceVersion = "" } = metadata;
    const before = reports.get(name);
    if (name === ownName || before?.version === resourceVersion) return;
    const text = isRecord(data) ? data[KEY] : undefined;
    if (typeof text !== "string") return;
    const report = before?.text === text ? before.report : subject.parse(text);
    if (report === undefined) return;
    reports.set(name, { version: resourceVersion, seenAtMs: clock.elapsed(), text, report });
    if (before?.report !== report) changed();
  };

  const follow = (): (() => void) => {
    const stopFollowing = startReflector({
      ...{ client, clock, random },
      path: resourcePath(address),
      query: { labelSelector: deps.among === "revision" ? `${subject.label}=${revision}` : subject.label },
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
              for (const name of reports.keys()) if (!listed.has(name)) forget(name);
            },
          };
        },
        apply({ type, object }) {
          if (type !== "DELETED") see(object);
          else forget(object.metadata.name ?? "");
        },
        stateChanged(state) {
          const problem = `what other replicas tell of ${title} cannot be read`;
          if ("error" in state) log.warn({ reason: state.error.message }, problem);
          // Where it may not be watched it is listed all the same.
          const isRead = state.status === "synced" || state.status === "polling";
          unheard = isRead ? null : `${problem}: ${state.error.message}`;
        },
      },
    });
    return () => {
      stopFollowing();
      reports.clear();
      changed();
    };
  };

  return {
    elsewhere: () => known,
    unheard: () => unheard,
    lastGoneAt: () => lastGoneAt,
    follow,
    lead() {
      leads = true;
      void withdraw();
      const stopFollowing = follow();
      return () => {
        leads = false;
        stopFollowing();
      };
    },
    async stop() {
      cancel();
      await withdraw();
    },
  };
}
