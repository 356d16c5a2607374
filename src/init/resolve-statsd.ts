import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { messageOf, TrysailError } from "../platform/errors.ts";
import type { BootstrapConfig } from "./bootstrap-config.ts";
import { parseHostAndPort } from "./remote-service.ts";

/**
 * `config` with an address where `statsdUdpAddress` has a name, which Envoy's sink does not take.
 *
 * @throws TrysailError `failed-precondition` where the name cannot be resolved.
 */
export async function withResolvedStatsd(config: BootstrapConfig): Promise<BootstrapConfig> {
  if (!config.statsdUdpAddress) return config;
  const { host, port } = parseHostAndPort(config.statsdUdpAddress, "statsdUdpAddress");
  if (isIP(host) !== 0) return config;
  const { address, family } = await lookup(host).catch((cause: unknown) => {
    const message = `PROXY_CONFIG: field statsdUdpAddress: ${host} cannot be resolved: ${messageOf(cause)}`;
    throw new TrysailError("failed-precondition", message, { cause });
  });
  return { ...config, statsdUdpAddress: family === 6 ? `[${address}]:${port}` : `${address}:${port}` };
}
