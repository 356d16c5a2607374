import { ipVersion } from "../platform/ip-version.ts";
import { isDnsLabel } from "./dns-label.ts";
import { type Problem, refusal } from "./problem.ts";

/** Istio's rules for names of hosts, which are stricter than what Envoy can match: no underscores, among others. */
export function refuseHost(host: string, path: string): Problem[] {
  if (host === "*") return [];
  const labels = host.replace(/^\*\./, "").split(".");
  const odd = labels.find((label) => !isDnsLabel(label));
  if (odd !== undefined) {
    const part = JSON.stringify(odd.slice(0, 80));
    return [refusal(path, `has ${part}: Istio takes names of up to 63 letters, digits and - between the dots`)];
  }
  // A name of one part may be a number.
  return host.includes(".") && /^[0-9]+$/.test(labels.at(-1) ?? "")
    ? [refusal(path, "ends in a number, which no name of a host does in Istio")]
    : [];
}

/** The same where Istio takes addresses too. */
export function refuseHostOrAddress(host: string, path: string): Problem[] {
  return ipVersion(host) === null ? refuseHost(host, path) : [];
}
