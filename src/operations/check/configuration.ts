import { discoverKinds } from "../../kubernetes/discover-kinds.ts";
import { resourcePath } from "../../kubernetes/resource-path.ts";
import { trimObject } from "../../kubernetes/trim-object.ts";
import { readObject } from "../../mesh/parse-object.ts";
import { kindSchemas } from "../../mesh/schemas.ts";
import type { Check, Outcome } from "./check.ts";

/** As many are told one by one: a release that let one in let in others like it. */
const MOST_TOLD = 10;

/** Whether every object can be used as it is stored: an earlier release, or another mesh's webhook, may have let it in. */
export const configuration: Check = {
  name: "configuration",
  when: "always",
  async run({ client, isInstalled }) {
    const kinds = await discoverKinds(
      client,
      kindSchemas.filter(({ istio }) => istio),
    );
    const problems: string[] = [];
    let count = 0;
    for (const { entry, apiVersion, resource } of kinds) {
      for await (const { items } of client.list(resourcePath({ apiVersion, resource }))) {
        count += items.length;
        for (const item of items) problems.push(...problemOf(readObject(trimObject(item, entry))));
      }
    }
    if (problems.length === 0) return [{ status: "pass", message: `each of ${count} objects can be used` }];
    const outcome = (message: string): Outcome => ({ status: isInstalled ? "fail" : "warn", message, action: ACTION });
    const told = problems.slice(0, MOST_TOLD).map(outcome);
    const more = problems.length - told.length;
    return more === 0 ? told : [...told, outcome(`${more} more objects cannot be used`)];
  },
};

const ACTION =
  "mend or delete it: until then its last good version stays in use, and there is none in a control plane that starts anew";

/** The first of what is wrong with an object: whoever mends that sees the next. */
function problemOf({ findings }: ReturnType<typeof readObject>): readonly string[] {
  const first = findings.find(({ severity }) => severity === "error");
  return first === undefined ? [] : [first.message];
}
