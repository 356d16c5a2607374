import { append } from "../platform/append.ts";
import { checkDurations } from "./check-durations.ts";
import { joinPath } from "./conform.ts";
import { error, type Problem, warning } from "./problem.ts";
import { regexesProblem, regexProblem } from "./regex-problem.ts";
import type { ConnectionLimit, RateLimit, RequestLimit, RequestMatch } from "./trysail/rate-limit.ts";

/** Those that Envoy knows the meaning of. */
const STATUSES: ReadonlySet<number> = new Set([
  ...[400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 421, 422, 423, 424],
  ...[426, 428, 429, 431, 500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511],
]);

/** Each has filter chains of its own at every proxy that the limits are for. */
const MAX_PORTS = 256;

/** What is wrong inside one RateLimit of valid shape. */
export function checkRateLimit({ spec }: RateLimit): Problem[] {
  const { requests = [], connections = [], exceeded, service } = spec;
  const tooMany = regexesProblem(requests.flatMap(({ match }) => regexesOf(match)));
  if (tooMany !== null) return [error("spec.requests", tooMany)];
  const problems: Problem[] = [];
  append(problems, checkTargets(spec));
  if (requests.length + connections.length === 0) {
    problems.push(error("spec", "limits nothing: give it requests or connections"));
  }
  const ports = new Set([...requests, ...connections].flatMap((limit) => limit.ports ?? [])).size;
  if (ports > MAX_PORTS) {
    const reason = `names ${ports} ports in all, and at most ${MAX_PORTS} can be: leave ports out where all are meant`;
    problems.push(error("spec", reason));
  }
  for (const [index, limit] of requests.entries()) append(problems, checkRequests(limit, `spec.requests[${index}]`));
  for (const [index, limit] of connections.entries()) {
    append(problems, checkConnections(limit, `spec.connections[${index}]`));
  }
  append(problems, checkNames(spec));
  append(problems, checkDurations(service ?? {}, "spec.service"));
  if (service?.host?.startsWith("*")) {
    problems.push(error("spec.service.host", `is ${service.host}, which is no service: name the one that counts`));
  }
  if (exceeded?.status !== undefined && !STATUSES.has(exceeded.status)) {
    problems.push(
      error("spec.exceeded.status", `is ${exceeded.status}, which is no status of HTTP: use one such as 429`),
    );
  }
  for (const [name, value] of Object.entries(exceeded?.headers ?? {})) {
    const problem = headerProblem(name) ?? (/^[\t -~]*$/.test(value) ? null : "has characters that no header may have");
    if (problem !== null) problems.push(error(joinPath("spec.exceeded.headers", name), problem));
  }
  if (exceeded?.body !== undefined && !requests.some(({ scope }) => scope === "GLOBAL")) {
    const reason = "is only sent by limits of scope GLOBAL: proxies have a text of their own, local_rate_limited";
    problems.push(warning("spec.exceeded.body", reason));
  }
  return problems;
}

function regexesOf({ headers = {} }: RequestMatch = {}): string[] {
  return Object.values(headers).flatMap((want) => ("regex" in want ? [want.regex] : []));
}

/** As in Istio's policies, one of the two says whom the object is for. */
function checkTargets({ selector, targetRefs = [] }: RateLimit["spec"]): Problem[] {
  if (selector !== undefined && targetRefs.length > 0) {
    return [error("spec.targetRefs", "cannot be with selector: keep one of them")];
  }
  const names = targetRefs.map(({ name }) => name);
  return names.flatMap((name, index) =>
    names.indexOf(name) === index ? [] : [error(`spec.targetRefs[${index}]`, `names ${name} again: remove it`)],
  );
}

function checkRequests(limit: RequestLimit, path: string): Problem[] {
  const { scope, by = [], match = {} } = limit;
  const problems = [...checkRate(limit, path), ...checkMatch(match, `${path}.match`)];
  if (scope === "CONNECTION" && by.length > 0) {
    problems.push(
      error(`${path}.by`, "cannot be with scope CONNECTION: each connection has a count of its own already"),
    );
  }
  return problems;
}

function checkConnections(limit: ConnectionLimit, path: string): Problem[] {
  const { scope, by = [], shadow = false } = limit;
  const problems = checkRate(limit, path);
  if (scope === "PROXY" && shadow) {
    problems.push(error(`${path}.shadow`, "cannot be with scope PROXY: Envoy only counts connections there to refuse"));
  }
  if (scope === "PROXY" && by.length > 0) {
    problems.push(error(`${path}.by`, "cannot be with scope PROXY, which has one count for each port: use GLOBAL"));
  }
  for (const [index, counted] of by.entries()) {
    if ("constant" in counted || ("attribute" in counted && counted.attribute === "REMOTE_ADDRESS")) continue;
    const reason = "is not known when a connection begins: use attribute REMOTE_ADDRESS or a constant";
    problems.push(error(`${path}.by[${index}]`, reason));
  }
  return problems;
}

function checkRate({ scope, rate, by = [] }: RequestLimit | ConnectionLimit, path: string): Problem[] {
  const problems: Problem[] = [];
  if (scope === "GLOBAL" && rate.burst !== undefined) {
    problems.push(error(`${path}.rate.burst`, "cannot be with scope GLOBAL, which counts whole units of time"));
  }
  if (scope !== "GLOBAL" && rate.unit === "MONTH") {
    const reason = "is more than a proxy remembers, which forgets its counts when it restarts: use scope GLOBAL";
    problems.push(error(`${path}.rate.unit`, reason));
  }
  if (rate.burst !== undefined && rate.burst < rate.amount) {
    problems.push(error(`${path}.rate.burst`, `is less than rate.amount (${rate.amount}), which could never be used`));
  }
  const seen = new Set<string>();
  for (const [index, counted] of by.entries()) {
    const text = JSON.stringify(counted).toLowerCase();
    if (seen.has(text)) problems.push(error(`${path}.by[${index}]`, "is said before: remove it"));
    seen.add(text);
  }
  return problems;
}

function checkMatch({ paths = [], methods = [], headers = {} }: RequestMatch, path: string): Problem[] {
  const problems = paths.flatMap((text, index) =>
    /^[^*]*\*?$|^\*[^*]*$/.test(text) && !text.includes("?")
      ? []
      : [
          error(
            `${path}.paths[${index}]`,
            "must be a path without a query, perhaps with * as its first or last letter",
          ),
        ],
  );
  for (const [index, text] of methods.entries()) {
    if (/^[A-Za-z-]+$/.test(text)) continue;
    problems.push(error(`${path}.methods[${index}]`, "must be a method such as GET"));
  }
  for (const [name, want] of Object.entries(headers)) {
    const problem = headerProblem(name) ?? ("regex" in want ? regexProblem(want.regex) : null);
    if (problem !== null) problems.push(error(joinPath(`${path}.headers`, name), problem));
  }
  return problems;
}

function headerProblem(name: string): string | null {
  if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) return "is no name of a header";
  return /^(host|connection|content-length|transfer-encoding)$/i.test(name) ? "is a header that is not for this" : null;
}

/** Two limits of one name would share a count. */
function checkNames({ requests = [], connections = [] }: RateLimit["spec"]): Problem[] {
  const first = new Map<string, string>();
  const places = [
    ...requests.map(({ name }, index) => ({ name, path: `spec.requests[${index}].name` })),
    ...connections.map(({ name }, index) => ({ name, path: `spec.connections[${index}].name` })),
  ];
  return places.flatMap(({ name, path }) => {
    const known = first.get(name);
    if (known === undefined) first.set(name, path);
    return known === undefined ? [] : [error(path, `${name} is the name of ${known} as well: give each its own`)];
  });
}
