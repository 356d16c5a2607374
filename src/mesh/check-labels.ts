import { joinPath } from "./conform.ts";
import { error, type Problem } from "./problem.ts";

const NAME = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const PREFIX = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const MAX_PREFIX_CHARACTERS = 253;

/**
 * Labels that no object in Kubernetes can have, wildcards among them: what selects by one selects nothing, and a policy
 * that does protects nobody. https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
 */
export function checkLabels(labels: Readonly<Record<string, string>> | undefined, path: string): Problem[] {
  return Object.entries(labels ?? {}).flatMap(([key, value]) => {
    const at = joinPath(path, key);
    if (key.includes("*") || value.includes("*")) {
      return [error(at, "has a wildcard, which labels do not know: write out each label")];
    }
    if (!isKey(key)) return [error(at, "is not the key of a label, such as app or example.com/app")];
    return value === "" || NAME.test(value)
      ? []
      : [error(at, "must be up to 63 letters, digits, -, _ and . with a letter or digit at both ends")];
  });
}

function isKey(key: string): boolean {
  const [name = "", prefix, ...rest] = key.split("/").reverse();
  if (!NAME.test(name) || rest.length > 0) return false;
  return prefix === undefined || (prefix.length <= MAX_PREFIX_CHARACTERS && PREFIX.test(prefix));
}
