import { isRecord } from "../mesh/conform.ts";
import type { Clock } from "../platform/clock.ts";
import { messageOf, TrysailError } from "../platform/errors.ts";
import type { Logger } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import type { KubernetesClient } from "./client.ts";
import type { KubernetesObject } from "./object.ts";
import { type ReflectorTiming, startReflector } from "./reflector.ts";
import { resourcePath } from "./resource-path.ts";

export interface CaBundleKeeperDeps {
  readonly client: Pick<KubernetesClient, "list" | "watch" | "patch">;
  readonly clock: Clock;
  readonly random: Pick<Random, "fraction">;
  readonly log: Logger;
  /** Names of the webhook configurations by which the API server finds this control plane. */
  readonly names: { readonly mutating: string; readonly validating: string };
  /** Labels of further MutatingWebhookConfigurations that lead here; without it there are none. */
  readonly mutatingSelector?: string;
  /** The roots of the control plane's certificate now. */
  readonly caBundlePem: string;
  readonly timing?: Partial<ReflectorTiming>;
}

export interface CaBundleKeeper {
  /** The roots have changed. */
  setCaBundle(pem: string): void;
  stop(): void;
}

const REGISTRATION = "admissionregistration.k8s.io/v1";
/** Whoever else writes the field must not be fought faster than this; doubles with each failure in a row. */
const PATCH_EVERY_MS = 1000;
const LONGEST_PAUSE_MS = 60_000;

/**
 * Keeps the `caBundle` of each webhook in the control plane's own webhook configurations: from the start, when the
 * roots change, and when somebody edits them. Writes nothing else of them, and makes none where there are none.
 */
export function createCaBundleKeeper(deps: CaBundleKeeperDeps): CaBundleKeeper {
  const { names, mutatingSelector } = deps;
  const [mutating, validating] = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"] as const;
  const named = (name: string) => ({ fieldSelector: `metadata.name=${name}` });
  let bundle = encode(deps.caBundlePem);
  const kept = [
    keep(deps, { resource: mutating, query: named(names.mutating) }, () => bundle),
    keep(deps, { resource: validating, query: named(names.validating) }, () => bundle),
  ];
  if (mutatingSelector !== undefined) {
    kept.push(keep(deps, { resource: mutating, query: { labelSelector: mutatingSelector } }, () => bundle));
  }
  return {
    setCaBundle(pem) {
      bundle = encode(pem);
      for (const { check } of kept) check();
    },
    stop() {
      for (const { stop } of kept) stop();
    },
  };
}

/** Where some of the configurations are. */
interface Selection {
  readonly resource: "mutatingwebhookconfigurations" | "validatingwebhookconfigurations";
  readonly query: Readonly<Record<string, string>>;
}

interface Kept {
  check(): void;
  stop(): void;
}

/** Every configuration of a selection, as they come and go. */
function keep(deps: CaBundleKeeperDeps, { resource, query }: Selection, bundle: () => string): Kept {
  const { client, clock, random, log, timing = {} } = deps;
  const collection = resourcePath({ apiVersion: REGISTRATION, resource });
  const each = new Map<string, KeptConfiguration>();
  const see = (object: KubernetesObject): void => {
    const { name = "" } = object.metadata;
    const kept = each.get(name) ?? keepOne(deps, { resource, name }, bundle);
    each.set(name, kept);
    kept.see(object);
  };
  const forget = (name: string): void => {
    each.get(name)?.stop();
    each.delete(name);
  };
  const stopReflector = startReflector({
    ...{ client, clock, random, timing, query },
    path: collection,
    sink: {
      beginList() {
        const listed: KubernetesObject[] = [];
        return {
          add(items) {
            listed.push(...items);
          },
          end() {
            const names = new Set(listed.map(({ metadata }) => metadata.name));
            for (const name of [...each.keys()]) if (!names.has(name)) forget(name);
            for (const object of listed) see(object);
          },
        };
      },
      apply: ({ type, object }) => (type === "DELETED" ? forget(object.metadata.name ?? "") : see(object)),
      stateChanged(state) {
        if (!("error" in state)) return;
        log.warn({ resource, ...query, reason: state.error.message }, "webhook configurations cannot be followed");
      },
    },
  });
  return {
    check() {
      for (const kept of each.values()) kept.check();
    },
    stop() {
      stopReflector();
      for (const kept of each.values()) kept.stop();
    },
  };
}

interface KeptConfiguration extends Kept {
  see(object: KubernetesObject): void;
}

function keepOne(
  { client, clock, log }: CaBundleKeeperDeps,
  address: { readonly resource: string; readonly name: string },
  bundle: () => string,
): KeptConfiguration {
  const path = resourcePath({ apiVersion: REGISTRATION, ...address });
  let current: KubernetesObject | undefined;
  let cancelPatch: (() => void) | undefined;
  let nextPatchAt = 0;
  let failures = 0;
  let stopped = false;

  const check = (): void => {
    if (stopped || cancelPatch !== undefined || operationsFor(current, bundle()).length === 0) return;
    cancelPatch = clock.after(Math.max(0, nextPatchAt - clock.elapsed()), () => void patch());
  };

  const patch = async (): Promise<void> => {
    const operations = operationsFor(current, bundle());
    try {
      if (operations.length > 0) {
        current = await client.patch(path, { type: "json", operations });
        log.info({ ...address }, "the webhook configuration's caBundle was brought up to date");
      }
      failures = 0;
    } catch (error) {
      failures++;
      // Gone meanwhile, or its webhooks are others by now: an event says so.
      const isOutdated = error instanceof TrysailError && ["not-found", "invalid-argument"].includes(error.code);
      if (isOutdated) current = undefined;
      else log.warn({ ...address, reason: messageOf(error) }, "the webhook configuration's caBundle cannot be written");
    }
    nextPatchAt = clock.elapsed() + Math.min(PATCH_EVERY_MS * 2 ** failures, LONGEST_PAUSE_MS);
    cancelPatch = undefined;
    check();
  };

  return {
    see(object) {
      current = object;
      check();
    },
    check,
    stop() {
      stopped = true;
      cancelPatch?.();
    },
  };
}

/** A JSON patch for the webhooks whose bundle differs; it fails where their order has changed since. */
function operationsFor(configuration: KubernetesObject | undefined, bundle: string): readonly object[] {
  const webhooks: readonly unknown[] = Array.isArray(configuration?.webhooks) ? configuration.webhooks : [];
  return webhooks.flatMap((webhook, index) => {
    const clientConfig = isRecord(webhook) ? webhook.clientConfig : undefined;
    if (!isRecord(webhook) || !isRecord(clientConfig) || clientConfig.caBundle === bundle) return [];
    return [
      { op: "test", path: `/webhooks/${index}/name`, value: webhook.name },
      { op: "add", path: `/webhooks/${index}/clientConfig/caBundle`, value: bundle },
    ];
  });
}

function encode(pem: string): string {
  return Buffer.from(pem).toString("base64");
}
