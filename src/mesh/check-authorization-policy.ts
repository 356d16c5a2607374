import { append } from "../platform/append.ts";
import { ipVersion } from "../platform/ip-version.ts";
import { checkLabels } from "./check-labels.ts";
import { joinPath } from "./conform.ts";
import { DRY_RUN, isDryRun } from "./dry-run.ts";
import type { AuthorizationCondition, AuthorizationPolicy, AuthorizationSource } from "./istio/authorization-policy.ts";
import { error, type Problem, warning } from "./problem.ts";
import { checkRevocation } from "./revoked-principals.ts";

/** What Istio refuses in an AuthorizationPolicy, and what this version cannot ask yet. */
export function checkAuthorizationPolicy(policy: AuthorizationPolicy): Problem[] {
  const { metadata, spec } = policy;
  const problems = checkLabels(spec.selector?.matchLabels, "spec.selector.matchLabels");
  append(problems, checkRevocation(policy));
  if (isDryRun({ metadata }) === true) {
    const reason = "makes it a dry run, which refuses and allows nothing; what it would do is not counted here";
    problems.push(warning(joinPath("metadata.annotations", DRY_RUN), reason));
  }
  for (const [index, rule] of (spec.rules ?? []).entries()) {
    const path = `spec.rules[${index}]`;
    if (rule.from?.length === 0) problems.push(error(`${path}.from`, "is empty: leave it out to match any source"));
    if (rule.to?.length === 0) problems.push(error(`${path}.to`, "is empty: leave it out to match any operation"));
    for (const [at, { source }] of (rule.from ?? []).entries()) {
      if (saysNothing(source))
        problems.push(error(`${path}.from[${at}].source`, "is empty: say which sources, or leave out from"));
      append(problems, checkTexts(source, `${path}.from[${at}].source`));
      append(problems, checkIpBlocks(source, `${path}.from[${at}].source`));
      append(problems, checkServiceAccounts(source, `${path}.from[${at}].source`));
    }
    for (const [at, { operation }] of (rule.to ?? []).entries()) {
      if (saysNothing(operation))
        problems.push(error(`${path}.to[${at}].operation`, "is empty: say which operations, or leave out to"));
      append(problems, checkTexts(operation, `${path}.to[${at}].operation`));
      append(problems, checkPaths(operation?.paths, `${path}.to[${at}].operation.paths`));
      append(problems, checkPaths(operation?.notPaths, `${path}.to[${at}].operation.notPaths`));
      append(problems, checkPorts(operation?.ports, `${path}.to[${at}].operation.ports`));
      append(problems, checkPorts(operation?.notPorts, `${path}.to[${at}].operation.notPorts`));
    }
    for (const [at, condition] of (rule.when ?? []).entries()) {
      if ((condition.values?.length ?? 0) + (condition.notValues?.length ?? 0) === 0) {
        problems.push(error(`${path}.when[${at}]`, "has neither values nor notValues: give it one of them"));
      }
      append(problems, checkCondition(condition, `${path}.when[${at}]`));
    }
  }
  return problems;
}

/** Istio refuses a source or operation without any value: what it would match is anyone's guess. */
function saysNothing(lists: Readonly<Record<string, readonly string[] | undefined>> | undefined): boolean {
  return Object.values(lists ?? {}).every((list) => (list ?? []).length === 0);
}

function checkTexts(
  lists: Readonly<Record<string, readonly string[] | undefined>> | undefined,
  path: string,
): Problem[] {
  return Object.entries(lists ?? {}).flatMap(([name, list]) =>
    (list ?? []).flatMap((text, index) =>
      text === "" ? [error(`${path}.${name}[${index}]`, "is empty text: remove it, or say what to match")] : [],
    ),
  );
}

/** A template that is taken for plain text would match nothing, and a DENY rule would let everything pass. */
function checkPaths(paths: readonly string[] | undefined, path: string): Problem[] {
  return (paths ?? []).flatMap((text, index) => {
    if (!/[{}]/.test(text)) return [];
    const reason = /\{\*{1,2}\}/.test(text)
      ? "is a template with {*} or {**}, which this version does not support yet"
      : "has a brace, as templates have: they know {*} and {**} alone";
    return [error(`${path}[${index}]`, reason)];
  });
}

const IP_FIELDS = ["ipBlocks", "notIpBlocks", "remoteIpBlocks", "notRemoteIpBlocks"] as const;

function checkIpBlocks(source: AuthorizationSource | undefined, path: string): Problem[] {
  return IP_FIELDS.flatMap((field) =>
    (source?.[field] ?? []).flatMap((text, index) =>
      isIpBlock(text)
        ? []
        : [
            error(
              `${path}.${field}[${index}]`,
              `must be an IP address or a CIDR block, but is ${JSON.stringify(text)}`,
            ),
          ],
    ),
  );
}

/** Istio's rules: an account says its namespace already, and is named `NAMESPACE/NAME`, or `NAME` in the policy's own. */
function checkServiceAccounts(source: AuthorizationSource = {}, path: string): Problem[] {
  const { serviceAccounts = [], notServiceAccounts = [] } = source;
  const lists = { serviceAccounts, notServiceAccounts };
  const rivals = ["principals", "notPrincipals", "namespaces", "notNamespaces"] as const;
  const rival = rivals.find((field) => (source[field] ?? []).length > 0);
  if (rival !== undefined && serviceAccounts.length + notServiceAccounts.length > 0) {
    return [error(path, `has both service accounts and ${rival}: keep one of them`)];
  }
  return Object.entries(lists).flatMap(([field, accounts]) =>
    accounts.flatMap((account, index) =>
      account === "" || (account.length <= 320 && /^([^/*]+\/)?[^/*]+$/.test(account))
        ? []
        : [error(`${path}.${field}[${index}]`, `must be NAMESPACE/NAME or NAME, but is ${JSON.stringify(account)}`)],
    ),
  );
}

/** An address, or a range of them in CIDR notation. */
export function isIpBlock(text: string): boolean {
  const [ip = "", bits, ...rest] = text.split("/");
  const version = ipVersion(ip);
  if (version === null || rest.length > 0) return false;
  return bits === undefined || (/^(0|[1-9][0-9]{0,2})$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128));
}

/** A port number as text. */
export function isPort(text: string): boolean {
  return /^[1-9][0-9]{0,4}$/.test(text) && Number(text) <= 65535;
}

function checkPorts(ports: readonly string[] | undefined, path: string): Problem[] {
  return (ports ?? []).flatMap((text, index) => {
    return isPort(text)
      ? []
      : [error(`${path}[${index}]`, `must be a port number from 1 to 65535 in quotes, but is ${JSON.stringify(text)}`)];
  });
}

/** https://istio.io/latest/docs/reference/config/security/conditions/ */
const ATTRIBUTES =
  /^(source\.(ip|namespace|principal|serviceAccount)|remote\.ip|destination\.(ip|port)|connection\.sni|request\.auth\.(principal|audiences|presenter|claims(\[[^[\]]+\])+)|request\.headers\[[!#$%&'*+.^_`|~0-9A-Za-z:-]+\])$/;
const IP_ATTRIBUTES: readonly string[] = ["source.ip", "remote.ip", "destination.ip"];

function checkCondition({ key, values = [], notValues = [] }: AuthorizationCondition, path: string): Problem[] {
  if (!ATTRIBUTES.test(key)) {
    return [error(`${path}.key`, `is no attribute that conditions know, but ${JSON.stringify(key)}`)];
  }
  const each = (list: readonly string[], field: string, isRight: (text: string) => boolean, what: string) =>
    list.flatMap((text, index) =>
      isRight(text) ? [] : [error(`${path}.${field}[${index}]`, `must be ${what}, but is ${JSON.stringify(text)}`)],
    );
  const both = (isRight: (text: string) => boolean, what: string) => [
    ...each(values, "values", isRight, what),
    ...each(notValues, "notValues", isRight, what),
  ];
  if (IP_ATTRIBUTES.includes(key)) return both(isIpBlock, "an IP address or a CIDR block");
  return key === "destination.port" ? both(isPort, "a port number from 1 to 65535 in quotes") : [];
}
