import { patternsOver } from "./hostname.ts";
import type { Problem } from "./problem.ts";

/** Istio refuses hosts of one object that say the same or cover each other: which of them counts would be a guess. */
export function checkHosts(hosts: readonly string[], path: string): Problem[] {
  const first = new Map<string, number>();
  for (const [index, host] of hosts.entries()) if (!first.has(host)) first.set(host, index);
  return hosts.flatMap((host, index): Problem[] => {
    const known = first.get(host);
    if (known !== index) {
      return [
        { severity: "error", path: `${path}[${index}]`, reason: `repeats ${path}[${known}]: remove one of them` },
      ];
    }
    const pattern = patternsOver(host).find((candidate) => candidate !== host && first.has(candidate));
    if (pattern === undefined) return [];
    const reason = `is covered by ${path}[${first.get(pattern)}] (${pattern}): remove one of them`;
    return [{ severity: "error", path: `${path}[${index}]`, reason }];
  });
}
