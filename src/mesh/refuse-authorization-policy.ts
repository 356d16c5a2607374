import { append } from "../platform/append.ts";
import { joinPath } from "./conform.ts";
import { DRY_RUN, isDryRun } from "./dry-run.ts";
import type { AuthorizationCondition, AuthorizationPolicy } from "./istio/authorization-policy.ts";
import { type Problem, refusal } from "./problem.ts";

/** What Istio's validation of an AuthorizationPolicy refuses though its meaning is clear. */
export function refuseAuthorizationPolicy({ metadata, spec }: AuthorizationPolicy): Problem[] {
  const { action, rules = [] } = spec;
  const problems: Problem[] = [];
  if (isDryRun({ metadata }) === null) {
    problems.push(
      refusal(joinPath("metadata.annotations", DRY_RUN), 'must be "true" or "false": the policy holds as it is'),
    );
  }
  if (action === "DENY" && rules.length === 0) {
    problems.push(refusal("spec.rules", "is empty, so the DENY policy denies nothing: add a rule, or {} to deny all"));
  }
  for (const [index, { from = [], when = [] }] of rules.entries()) {
    for (const [at, { source = {} }] of from.entries()) {
      const { serviceAccounts = [], notServiceAccounts = [] } = source;
      for (const [field, accounts] of Object.entries({ serviceAccounts, notServiceAccounts })) {
        if (accounts.length <= MOST_ACCOUNTS) continue;
        const reason = `has ${accounts.length} accounts, and Istio takes ${MOST_ACCOUNTS}: write another source for the rest`;
        problems.push(refusal(`spec.rules[${index}].from[${at}].source.${field}`, reason));
      }
    }
    for (const [at, condition] of when.entries()) {
      append(problems, refuseCondition(condition, `spec.rules[${index}].when[${at}]`));
    }
  }
  return problems;
}

const MOST_ACCOUNTS = 16;

function refuseCondition({ key, values = [], notValues = [] }: AuthorizationCondition, path: string): Problem[] {
  return Object.entries({ values, notValues }).flatMap(([field, texts]) =>
    texts.flatMap((text, index): Problem[] => {
      if (text === "") return [refusal(`${path}.${field}[${index}]`, "is empty text: remove it, or say what to match")];
      if (key !== "source.serviceAccount" || !text.includes("*")) return [];
      return [refusal(`${path}.${field}[${index}]`, "has a wildcard, which accounts do not know: write out each")];
    }),
  );
}
