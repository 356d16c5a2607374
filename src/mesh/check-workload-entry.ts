import { ipVersion } from "../platform/ip-version.ts";
import { checkLabels } from "./check-labels.ts";
import { joinPath } from "./conform.ts";
import { isDnsLabel } from "./dns-label.ts";
import type { WorkloadEntrySpec } from "./istio/workload-entry.ts";
import { error, type Problem } from "./problem.ts";
import { parseSocket } from "./socket-path.ts";

const HOST_NAME = /^[a-zA-Z0-9_]([-a-zA-Z0-9_.]*[a-zA-Z0-9_])?$/;

/** What a WorkloadEntry's schema cannot say, for one of its own and for an endpoint of a ServiceEntry. */
export function checkWorkloadEntry(entry: WorkloadEntrySpec, path: string): Problem[] {
  const problems = checkWorkloadTemplate(entry, path);
  if ((entry.address ?? "") === "" && entry.network === undefined) {
    problems.push(error(`${path}.address`, "is missing: it is required where no network is given"));
  }
  return problems;
}

/** The same for a WorkloadGroup's, whose machines have addresses of their own. */
export function checkWorkloadTemplate(
  { address = "", labels, ports = {} }: WorkloadEntrySpec,
  path: string,
): Problem[] {
  const names = Object.keys(ports).filter((name) => !isDnsLabel(name));
  return [
    ...checkAddress(address, ports, path),
    ...checkLabels(labels, `${path}.labels`),
    ...names.map((name) => error(joinPath(`${path}.ports`, name), "is not a port's name, such as http")),
  ];
}

function checkAddress(address: string, ports: object, path: string): Problem[] {
  if (address === "") return [];
  if (address.startsWith("unix://")) {
    if (parseSocket(address) === null) {
      return [error(`${path}.address`, "must be an absolute path of at most 107 bytes behind unix://")];
    }
    return Object.keys(ports).length > 0 ? [error(`${path}.ports`, "cannot be where the address is a socket")] : [];
  }
  return ipVersion(address) !== null || HOST_NAME.test(address)
    ? []
    : [
        error(
          `${path}.address`,
          `must be an IP address, a host name or unix:///PATH, but is ${JSON.stringify(address)}`,
        ),
      ];
}
