import type { DestinationRule } from "./istio/destination-rule.ts";
import type { Problem } from "./problem.ts";

/** What a DestinationRule's schema cannot say: each subset has a name of its own. */
export function checkDestinationRule({ spec }: DestinationRule): Problem[] {
  const first = new Map<string, number>();
  return (spec.subsets ?? []).flatMap(({ name }, index): Problem[] => {
    const known = first.get(name);
    if (known === undefined) {
      first.set(name, index);
      return [];
    }
    const reason = `is ${name}, as spec.subsets[${known}] is called already: give it a name of its own`;
    return [{ severity: "error", path: `spec.subsets[${index}].name`, reason }];
  });
}
