import { createHash } from "node:crypto";
import type { Service } from "../mesh/kubernetes/core.ts";
import { isExternalName, isHeadless } from "./cluster-objects.ts";

/**
 * A cluster address for every Service that has one, by `namespace/name`: its own `clusterIP`, else one in 10.96.0.0/12
 * that depends on its name, so that it stays the same from run to run.
 */
export function allocateClusterIps(services: readonly Service[]): Map<string, string> {
  const result = new Map<string, string>();
  const taken = new Set<string>();
  const open: string[] = [];
  for (const service of services) {
    if (isHeadless(service) || isExternalName(service)) continue;
    const key = `${service.metadata.namespace}/${service.metadata.name}`;
    const own = service.spec.clusterIP;
    if (own === undefined || own === "") open.push(key);
    else {
      result.set(key, own);
      taken.add(own);
    }
  }
  for (const key of open.sort()) {
    for (let attempt = 0; ; attempt++) {
      const ip = hashedAddress(key, attempt);
      if (taken.has(ip)) continue;
      taken.add(ip);
      result.set(key, ip);
      break;
    }
  }
  return result;
}

/** 10.96.0.0/12 has 20 free bits; the first 256 addresses stay free for well-known ones. */
function hashedAddress(key: string, attempt: number): string {
  const digest = createHash("sha256").update(`${attempt}:${key}`).digest();
  const number = 256 + (digest.readUInt32BE(0) % (0xffffe - 256));
  return `10.${96 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`;
}
