import { joinPath } from "./conform.ts";
import { isDryRun } from "./dry-run.ts";
import type { AuthorizationPolicy } from "./istio/authorization-policy.ts";
import { type Problem, warning } from "./problem.ts";
import type { ReferenceIndex, Report } from "./reference-index.ts";

/** On an AuthorizationPolicy that denies: its principals get neither certificates, JWT-SVIDs nor Secrets any more. */
const REVOKES = "trysail.io/revokes-identities";

/** Whom a policy revokes, if it is one of a root namespace. What is denied for some requests alone revokes nobody. */
export function revokedPrincipals(policy: AuthorizationPolicy): readonly string[] {
  const { metadata, spec } = policy;
  if (metadata.labels[REVOKES] !== "true" || obstacle(policy) !== undefined) return [];
  return (spec.rules ?? []).flatMap((rule) => (isNarrowed(rule) ? [] : (rule.from ?? []).flatMap(principalsOf)));
}

/** Where a policy says that it revokes and does not, somebody relies on what will not happen. */
export function checkRevocation(policy: AuthorizationPolicy): Problem[] {
  const { metadata, spec } = policy;
  const label = metadata.labels[REVOKES];
  if (label === undefined || label === "false") return [];
  const path = joinPath("metadata.labels", REVOKES);
  if (label !== "true") return [warning(path, `revokes nobody: it must be "true", but is ${JSON.stringify(label)}`)];
  const reason = obstacle(policy);
  if (reason !== undefined) return [warning(path, `revokes nobody, since the policy ${reason}`)];
  return (spec.rules ?? []).flatMap((rule, index) =>
    isNarrowed(rule) || (rule.from ?? []).some((from) => principalsOf(from).length === 0)
      ? [warning(`spec.rules[${index}]`, "revokes nobody: leave in it nothing but principals")]
      : [],
  );
}

/** What it denies it denies, but to its own namespace alone: nobody there speaks for who may be in the mesh. */
export function analyzeRevocation(policy: AuthorizationPolicy, { config }: ReferenceIndex, report: Report): void {
  const [root = "", ...more] = config.rootNamespaces;
  if ([root, ...more].includes(policy.metadata.namespace) || revokedPrincipals(policy).length === 0) return;
  const reason = `revokes nobody, since the policy is not in a root namespace of the mesh: write it in ${root}, or take the label away`;
  report("value-invalid", joinPath("metadata.labels", REVOKES), reason);
}

type Rule = NonNullable<AuthorizationPolicy["spec"]["rules"]>[number];
type From = NonNullable<Rule["from"]>[number];

function obstacle(policy: AuthorizationPolicy): string | undefined {
  if (policy.spec.action !== "DENY") return "does not have the action DENY";
  if (policy.spec.selector !== undefined) return "has a selector, and so does not hold everywhere";
  return isDryRun(policy) === true ? "is a dry run" : undefined;
}

function isNarrowed({ from, to, when }: Rule): boolean {
  return from === undefined || to !== undefined || when !== undefined;
}

function principalsOf({ source = {} }: From): readonly string[] {
  const { principals = [], ...narrower } = source;
  return Object.keys(narrower).length === 0 ? principals : [];
}
