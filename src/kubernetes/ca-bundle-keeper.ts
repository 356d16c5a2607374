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
  const { names } = deps;
  let bundle = encode(deps.caBundlePem);
  const kept = [
    keep(deps, { resource: "mutatingwebhookconfigurations", name: names.mutating }, () => bundle),
    keep(deps, { resource: "validatingwebhookconfigurations", name: names.validating }, () => bundle),
  ];
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

function keep(
  { client, clock, random, log, timing = {} }: CaBundleKeeperDeps,
  address: { readonly resource: string; readonly name: string },
  bundle: () => string,
): { check(): void; stop(): void } {
  const path = resourcePath({ apiVersion: REGISTRATION, ...address });
  let current: KubernetesObject | undefined;
  let cancelPatch: (() => void) | undefined;
  let nextPatchAt = 0;
  let failures = 0;
  let stopped = false;

  const check = (): void => {
    if (stopped || cancelPatch !== undefined || operationsFor(current, bundle()).length === 0) return;
    cancelPatch = clock.after(Math.max(0, nextPatchAt - clock.now()), () => void patch());
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
    nextPatchAt = clock.now() + Math.min(PATCH_EVERY_MS * 2 ** failures, LONGEST_PAUSE_MS);
    cancelPatch = undefined;
    check();
  };

  const see = (object: KubernetesObject | undefined): void => {
    current = object;
    check();
  };
  const stopReflector = startReflector({
    client,
    clock,
    random,
    timing,
    path: resourcePath({ apiVersion: REGISTRATION, resource: address.resource }),
    query: { fieldSelector: `metadata.name=${address.name}` },
    sink: {
      beginList() {
        let listed: KubernetesObject | undefined;
        return {
          add(items) {
            listed ??= items[0];
          },
          end: () => see(listed),
        };
      },
      apply: ({ type, object }) => see(type === "DELETED" ? undefined : object),
      stateChanged(state) {
        if (!("error" in state)) return;
        log.warn({ ...address, reason: state.error.message }, "the webhook configuration cannot be followed");
      },
    },
  });
  return {
    check,
    stop() {
      stopped = true;
      cancelPatch?.();
      stopReflector();
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
