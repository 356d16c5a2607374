import { error, type Problem, warning } from "./problem.ts";

/** Envoy's sum of weights is a 32-bit number. */
const MAX_WEIGHT = 2 ** 32 - 1;

/** What is wrong with the shares of a route's destinations. */
export function checkWeights(destinations: readonly { readonly weight?: number }[], path: string): Problem[] {
  if (destinations.length < 2) return [];
  const sum = destinations.reduce((total, { weight = 0 }) => total + weight, 0);
  if (sum === 0) return [error(path, "has several destinations and no weight: say how much each of them gets")];
  if (sum > MAX_WEIGHT) {
    return [error(path, `has weights that sum to ${sum}, and ${MAX_WEIGHT} is the most: lower them`)];
  }
  const idle = destinations.flatMap(({ weight = 0 }, index) =>
    weight === 0 ? [warning(`${path}[${index}].weight`, "is 0, so the destination gets nothing")] : [],
  );
  if (sum === 100) return idle;
  const reason = `has weights that sum to ${sum} instead of 100: each destination gets its share of ${sum}`;
  return [...idle, warning(path, reason)];
}
