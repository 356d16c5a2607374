import { isRecord, joinPath } from "./conform.ts";
import type { HttpRoute } from "./istio/http-route.ts";
import { error, type Problem } from "./problem.ts";
import { regexesProblem, regexProblem, substitutionProblem } from "./regex-problem.ts";
import { someField } from "./some-field.ts";

/** What is wrong with the regular expressions of HTTP routes: those of one route, and all of them together. */
export function checkRouteRegexes(routes: readonly HttpRoute[], path: string): Problem[] {
  const tooMany = regexesProblem(routes.flatMap(regexesOf));
  if (tooMany !== null) return [error(path, tooMany)];
  return routes.flatMap(({ match, corsPolicy, rewrite }, index) => [
    ...checkRegexes(match, `${path}[${index}].match`),
    ...checkRegexes(corsPolicy?.allowOrigins, `${path}[${index}].corsPolicy.allowOrigins`),
    ...checkRewrite(rewrite?.uriRegexRewrite, `${path}[${index}].rewrite.uriRegexRewrite`),
  ]);
}

function checkRewrite(rewrite: NonNullable<HttpRoute["rewrite"]>["uriRegexRewrite"], path: string): Problem[] {
  if (rewrite === undefined) return [];
  const wrong = regexProblem(rewrite.match);
  if (wrong !== null) return [error(`${path}.match`, wrong)];
  const misfit = substitutionProblem(rewrite.match, rewrite.rewrite ?? "");
  return misfit === null ? [] : [error(`${path}.rewrite`, misfit)];
}

function regexesOf({ match, corsPolicy, rewrite }: HttpRoute): string[] {
  const found = [...findRegexes(match, ""), ...findRegexes(corsPolicy?.allowOrigins, "")].map(({ regex }) => regex);
  return rewrite?.uriRegexRewrite === undefined ? found : [...found, rewrite.uriRegexRewrite.match];
}

/** Every `regex` of a condition must compile in RE2, which is what Envoy runs. */
function checkRegexes(value: unknown, path: string): Problem[] {
  return findRegexes(value, path).flatMap((found) => {
    const reason = regexProblem(found.regex);
    return reason === null ? [] : [error(found.path, reason)];
  });
}

function findRegexes(value: unknown, path: string): { readonly regex: string; readonly path: string }[] {
  return someField(value, (key) => key === "regex") ? regexesIn(value, path) : [];
}

function regexesIn(value: unknown, path: string): { readonly regex: string; readonly path: string }[] {
  if (Array.isArray(value)) return value.flatMap((item, index) => regexesIn(item, `${path}[${index}]`));
  if (!isRecord(value)) return [];
  return Object.entries(value).flatMap(([key, field]) => {
    // A label may be named so.
    if (key === "sourceLabels") return [];
    const fieldPath = joinPath(path, key);
    if (key !== "regex" || typeof field !== "string") return regexesIn(field, fieldPath);
    // Of a header that must be missing, Istio takes a star for any value.
    return field === "*" && /\.withoutHeaders\b/.test(path) ? [] : [{ regex: field, path: fieldPath }];
  });
}
