import { ipVersion } from "../platform/ip-version.ts";
import type { WorkloadEntrySpec } from "./istio/workload-entry.ts";
import { error, type Problem } from "./problem.ts";

const HOST_NAME = /^[a-zA-Z0-9_]([-a-zA-Z0-9_.]*[a-zA-Z0-9_])?$/;
const SOCKET = /^unix:\/\/(\/|@)[^\0]{1,100}$/;

/** What a WorkloadEntry's schema cannot say, for one of its own and for an endpoint of a ServiceEntry. */
export function checkWorkloadEntry({ address, network, ports = {} }: WorkloadEntrySpec, path: string): Problem[] {
  if (address === undefined || address === "") {
    return network === undefined
      ? [error(`${path}.address`, "is missing: it is required where no network is given")]
      : [];
  }
  if (address.startsWith("unix://")) {
    if (!SOCKET.test(address)) return [error(`${path}.address`, "must be an absolute path behind unix://")];
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
