import { discoverKinds } from "../../kubernetes/discover-kinds.ts";
import type { KubernetesObject } from "../../kubernetes/object.ts";
import { resourcePath } from "../../kubernetes/resource-path.ts";
import { trimObject } from "../../kubernetes/trim-object.ts";
import { isRecord } from "../../mesh/conform.ts";
import { readObject } from "../../mesh/parse-object.ts";
import { kindSchemas } from "../../mesh/schemas.ts";
import type { Check, Outcome } from "./check.ts";

/** As many are told one by one: a release that let one in let in others like it. */
const MOST_TOLD = 10;

/**
 * Whether every object can be used as it is stored: an earlier release, or another mesh's webhook, may have let it in. Behind the
 * installation also what its status says of the rest of the mesh.
 */
export const configuration: Check = {
  name: "configuration",
  when: "always",
  async run({ client, isInstalled }) {
    const kinds = await discoverKinds(
      client,
      kindSchemas.filter(({ istio }) => istio),
    );
    const problems: string[] = [];
    const told: string[] = [];
    let count = 0;
    for (const { entry, apiVersion, resource } of kinds) {
      for await (const { items } of client.list(resourcePath({ apiVersion, resource }))) {
        count += items.length;
        for (const item of items) {
          const found = problemOf(readObject(trimObject(item, entry)));
          problems.push(...found);
          if (isInstalled && found.length === 0) told.push(...worriesOf(item, entry.kind));
        }
      }
    }
    const worries = few(told, "have a status that is not well", { status: "warn", action: MEND });
    if (problems.length === 0) return [{ status: "pass", message: `each of ${count} objects can be used` }, ...worries];
    const status = isInstalled ? "fail" : "warn";
    return [...few(problems, "cannot be used", { status, action: ACTION }), ...worries];
  },
};

function few(
  messages: readonly string[],
  what: string,
  outcome: { readonly status: "warn" | "fail"; readonly action: string },
): readonly Outcome[] {
  const lines = messages.slice(0, MOST_TOLD).map((message): Outcome => ({ ...outcome, message }));
  const more = messages.length - lines.length;
  return more === 0 ? lines : [...lines, { ...outcome, message: `${more} more objects ${what}` }];
}

const ACTION =
  "mend or delete it: until then its last good version stays in use, and there is none in a control plane that starts anew";

const MEND = "mend it, or what it names: docs/status.md tells what each condition means";

/** What the mesh says on an object that is used: a condition (docs/status.md), and when it is bad news. */
const WORRIES: Readonly<Record<string, { readonly status: string; readonly reason: string }>> = {
  ResolvedRefs: { status: "False", reason: "ReferenceMissing" },
  Conflicted: { status: "True", reason: "ObjectConflict" },
  Programmed: { status: "False", reason: "ProxyRejected" },
};

/** The first bad news of the version that is stored. */
function worriesOf({ metadata, status }: KubernetesObject, kind: string): readonly string[] {
  if (!isRecord(status) || !Array.isArray(status.conditions)) return [];
  if (String(status.observedGeneration) !== String(metadata.generation)) return [];
  const conditions: readonly unknown[] = status.conditions;
  for (const condition of conditions) {
    if (!isRecord(condition)) continue;
    const worry = WORRIES[String(condition.type)];
    if (worry === undefined || condition.status !== worry.status || condition.reason !== worry.reason) continue;
    return [`${kind} ${metadata.namespace}/${metadata.name}: ${condition.message}`];
  }
  return [];
}

/** The first of what is wrong with an object: whoever mends that sees the next. */
function problemOf({ findings }: ReturnType<typeof readObject>): readonly string[] {
  const first = findings.find(({ severity }) => severity === "error");
  return first === undefined ? [] : [first.message];
}
