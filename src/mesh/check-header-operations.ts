import { joinPath } from "./conform.ts";
import { headerFormatProblem } from "./header-format.ts";
import type { HeaderOperations, HttpRoute } from "./istio/http-route.ts";
import { error, type Problem } from "./problem.ts";

/** Whether Envoy takes a text as the name of an ordinary header. */
export function isHeaderName(name: string): boolean {
  return /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name);
}

/** What Envoy would refuse of the headers that a route sets, adds and removes. */
export function checkHeaderOperations(headers: HttpRoute["headers"], path: string): Problem[] {
  if (headers === undefined) return [];
  return [
    ...checkOperations(headers?.request, `${path}.request`),
    ...checkOperations(headers?.response, `${path}.response`),
  ];
}

function checkOperations(operations: HeaderOperations | undefined, path: string): Problem[] {
  const { set = {}, add = {}, remove = [] } = operations ?? {};
  const problems: Problem[] = [];
  for (const [field, headers] of Object.entries({ set, add })) {
    for (const [name, value] of Object.entries(headers)) {
      const at = joinPath(`${path}.${field}`, name);
      if (!isMutable(name)) problems.push(error(at, "is not a header's name"));
      const reason = headerFormatProblem(value);
      if (reason !== null) problems.push(error(at, reason));
    }
  }
  for (const [index, name] of remove.entries()) {
    if (!isMutable(name)) problems.push(error(`${path}.remove[${index}]`, "is not a header's name"));
  }
  return problems;
}

function isMutable(name: string): boolean {
  return name === ":authority" || isHeaderName(name);
}
