import { isRecord, joinPath } from "./conform.ts";
import { headerFormatProblem } from "./header-format.ts";
import type { HeaderOperations, HttpMatch, HttpRoute } from "./istio/virtual-service.ts";
import { error, type Problem } from "./problem.ts";

/**
 * What Envoy would refuse of a VirtualService's HTTP route. It refuses the whole route table of a port, with the routes of
 * every other service, so that none of it may get that far.
 */
export function checkHttpRoute(route: HttpRoute, path: string): Problem[] {
  const destinations = route.route ?? [];
  const problems = [...checkLineBreaks(route, path), ...checkHeaders(route.headers, `${path}.headers`)];
  for (const [index, { headers }] of destinations.entries()) {
    problems.push(...checkHeaders(headers, `${path}.route[${index}].headers`));
  }
  for (const [index, match] of (route.match ?? []).entries()) {
    problems.push(...checkMatch(match, `${path}.match[${index}]`));
  }
  if (destinations.length > 1 && destinations.every(({ weight = 0 }) => weight === 0)) {
    problems.push(error(`${path}.route`, "has several destinations and no weight: say how much each of them gets"));
  }
  return [...problems, ...checkWeights(destinations, `${path}.route`)];
}

/** Envoy's sum of weights is a 32-bit number. */
const MAX_WEIGHT = 2 ** 32 - 1;

function checkWeights(destinations: NonNullable<HttpRoute["route"]>, path: string): Problem[] {
  const sum = destinations.reduce((total, { weight = 0 }) => total + weight, 0);
  if (sum > MAX_WEIGHT)
    return [error(path, `has weights that sum to ${sum}, and ${MAX_WEIGHT} is the most: lower them`)];
  if (destinations.length < 2 || sum === 0 || sum === 100) return [];
  const reason = `has weights that sum to ${sum} instead of 100: each destination gets its share of ${sum}`;
  return [{ severity: "warning", path, reason }];
}

function checkMatch({ headers, withoutHeaders, queryParams }: HttpMatch, path: string): Problem[] {
  return [
    ...headerNames(headers, `${path}.headers`, /^:?[!#$%&'*+.^_`|~0-9A-Za-z-]+$/),
    ...headerNames(withoutHeaders, `${path}.withoutHeaders`, /^:?[!#$%&'*+.^_`|~0-9A-Za-z-]+$/),
    ...Object.keys(queryParams ?? {}).flatMap((name) =>
      name.length > 0 && Buffer.byteLength(name) <= 1024
        ? []
        : [error(joinPath(`${path}.queryParams`, name), "must have a name of 1 to 1024 bytes")],
    ),
  ];
}

function checkHeaders(headers: HttpRoute["headers"], path: string): Problem[] {
  return [
    ...checkOperations(headers?.request, `${path}.request`),
    ...checkOperations(headers?.response, `${path}.response`),
  ];
}

const HEADER_NAME = /^(?::authority|[!#$%&'*+.^_`|~0-9A-Za-z-]+)$/;

function checkOperations(operations: HeaderOperations | undefined, path: string): Problem[] {
  const { set = {}, add = {}, remove = [] } = operations ?? {};
  const problems = [...headerNames(set, `${path}.set`, HEADER_NAME), ...headerNames(add, `${path}.add`, HEADER_NAME)];
  for (const [index, name] of remove.entries()) {
    if (!HEADER_NAME.test(name)) problems.push(error(`${path}.remove[${index}]`, "is not a header's name"));
  }
  for (const [field, headers] of Object.entries({ set, add })) {
    for (const [name, value] of Object.entries(headers)) {
      const reason = headerFormatProblem(value);
      if (reason !== null) problems.push(error(joinPath(`${path}.${field}`, name), reason));
    }
  }
  return problems;
}

function headerNames(headers: object | undefined, path: string, allowed: RegExp): Problem[] {
  return Object.keys(headers ?? {}).flatMap((name) =>
    allowed.test(name) ? [] : [error(joinPath(path, name), "is not a header's name")],
  );
}

function checkLineBreaks(value: unknown, path: string): Problem[] {
  if (typeof value === "string") {
    return /[\0\r\n]/.test(value) ? [error(path, "holds a line break: remove it")] : [];
  }
  if (Array.isArray(value)) return value.flatMap((item, index) => checkLineBreaks(item, `${path}[${index}]`));
  if (!isRecord(value)) return [];
  return Object.entries(value).flatMap(([key, field]) => checkLineBreaks(field, joinPath(path, key)));
}
