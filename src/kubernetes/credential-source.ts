import { describeObject, type Finding } from "../mesh/finding.ts";
import type { KnownObject } from "../mesh/kinds.ts";
import { compareText, refOf } from "../mesh/object.ts";
import type { ObjectSet } from "../mesh/object-set.ts";
import { createListeners } from "../sources/listeners.ts";
import type { Source } from "../sources/source.ts";
import { type FollowedSecret, type FollowedSecretDeps, followSecret } from "./followed-secret.ts";
import { type SecretReference, secretReferences } from "./secret-references.ts";

export interface CredentialSourceDeps extends Omit<FollowedSecretDeps, "onChange"> {
  /** Everything but Secrets. */
  readonly source: Source;
}

/** Each takes a connection to the API server. */
const MOST_SECRETS = 500;
const GATHER_MS = 5;
/** A start does not wait longer than this for Secrets: what needs none is served. */
const START_MS = 5000;

/**
 * Adds to what a source holds the Secrets that its DestinationRules and Gateways name by `credentialName`, each followed
 * by itself for as long as one names it for proxies of its namespace. Of one that is deleted, the last version stays in use.
 */
export function createCredentialSource(deps: CredentialSourceDeps): Source {
  const { source, clock, log } = deps;
  const followed = new Map<string, FollowedSecret>();
  const listeners = createListeners(log);
  let inner: ObjectSet = source.current();
  let references: readonly SecretReference[] = [];
  let current: ObjectSet = inner;
  let cancelPublish: (() => void) | undefined;
  let unsubscribe = () => {};
  let settled = () => {};

  const isSettled = () => [...followed.values()].every((secret) => secret.state() !== "unknown");

  const secretChanged = (): void => {
    if (isSettled()) settled();
    cancelPublish ??= clock.after(GATHER_MS, () => {
      cancelPublish = undefined;
      publish();
    });
  };

  const follow = (): void => {
    references = secretReferences(inner.objects);
    const wanted = wantedSecrets(references);
    for (const [key, secret] of followed) {
      if (wanted.has(key)) continue;
      followed.delete(key);
      secret.stop();
    }
    for (const [key, { namespace, name }] of wanted) {
      if (followed.has(key) || followed.size >= MOST_SECRETS) continue;
      followed.set(key, followSecret({ ...deps, onChange: secretChanged }, namespace, name));
    }
  };

  const publish = (): void => {
    const secrets = [...followed].sort(([a], [b]) => compareText(a, b)).flatMap(([, secret]) => secret.object() ?? []);
    current = Object.freeze({
      objects: secrets.length === 0 ? inner.objects : inserted(inner.objects, secrets),
      findings: [...inner.findings, ...references.flatMap(findingsOf)],
    });
    listeners.tell(current);
  };

  /** What is in the way of a Secret that an object names. */
  const findingsOf = (reference: SecretReference): readonly Finding[] => {
    const { namespace, name, isUsed } = reference;
    const state = (of: string) => followed.get(keyOf(namespace, of))?.state();
    const where = `${namespace}/${name}`;
    if (state(name) === "deleted") {
      return [
        unreadable(
          reference,
          `names Secret ${where}, which was deleted: its last version stays in use, so create it anew`,
        ),
      ];
    }
    if (state(name) === "forbidden" && state(`${name}-cacert`) !== "present") {
      const reason = `names Secret ${where}, which the control plane may not read: grant its service account list and watch on it by a Role in namespace ${namespace}`;
      return [unreadable(reference, reason)];
    }
    if (state(name) === undefined && isUsed) {
      const reason = `names Secret ${where}, but ${MOST_SECRETS} Secrets are read already: calls fail that need it`;
      return [unreadable(reference, reason)];
    }
    return [];
  };

  return {
    async start() {
      await source.start();
      inner = source.current();
      follow();
      if (!isSettled()) {
        await new Promise<void>((resolve) => {
          const cancel = clock.after(START_MS, resolve);
          settled = () => {
            cancel();
            resolve();
          };
        });
      }
      publish();
      unsubscribe = source.onChange((set) => {
        inner = set;
        follow();
        publish();
      });
    },
    current: () => current,
    onChange: listeners.add,
    async stop() {
      unsubscribe();
      cancelPublish?.();
      for (const secret of followed.values()) secret.stop();
      await source.stop();
    },
  };
}

/** Those that some proxy may have, and beside each the one that holds whom to trust. */
function wantedSecrets(
  references: readonly SecretReference[],
): ReadonlyMap<string, { readonly namespace: string; readonly name: string }> {
  const wanted = references
    .filter(({ isUsed }) => isUsed)
    .flatMap(({ namespace, name }) => [name, `${name}-cacert`].map((each) => ({ namespace, name: each })));
  return new Map(wanted.map((secret) => [keyOf(secret.namespace, secret.name), secret]));
}

/** Sorts as namespace and name do. */
function keyOf(namespace: string, name: string): string {
  return `${namespace}\0${name}`;
}

/** Where they belong in the order of kinds. */
function inserted(objects: readonly KnownObject[], secrets: readonly KnownObject[]): readonly KnownObject[] {
  const at = objects.findIndex(({ kind }) => compareText(kind, "Secret") > 0);
  return Object.freeze(objects.toSpliced(at === -1 ? objects.length : at, 0, ...secrets));
}

function unreadable({ owner, field }: SecretReference, reason: string): Finding {
  const object = refOf(owner);
  const { generation } = owner.metadata;
  return {
    severity: "warning",
    code: "reference-missing",
    message: `${describeObject(object)}: ${field} ${reason}`,
    object,
    field,
    ...(generation === undefined ? {} : { generation }),
  };
}
