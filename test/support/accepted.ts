import assert from "node:assert/strict";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { placeholderIdentity } from "../../src/ca/serving/placeholder-identity.ts";
import type { MeshSnapshot } from "../../src/mesh/snapshot.ts";
import { selfContainedConfig } from "../../src/translate/self-contained.ts";
import type { ProxyResources } from "../../src/xds/resource-set.ts";
import { validateConfig } from "./envoy.ts";
import { resourcesFor } from "./mesh.ts";

let identity: ReturnType<typeof placeholderIdentity> | undefined;

/** What `trysail translate` would print for the proxy beside a pod (`POD.NAMESPACE`). */
export function configOf(mesh: MeshSnapshot, pod: string): JsonObject {
  return configWith(resourcesFor(mesh, pod), pod);
}

export function configWith(resources: ProxyResources, pod: string): JsonObject {
  identity ??= placeholderIdentity();
  const namespace = pod.slice(pod.lastIndexOf(".") + 1);
  return selfContainedConfig(resources, `sidecar~10.0.0.1~${pod}~${namespace}.svc.cluster.local`, identity);
}

/**
 * Asserts that a real Envoy loads every one of `configs`. They are put into one configuration, which takes a tenth of
 * the time; where that is refused, each is tried for itself, so that the failure names those that are at fault.
 */
export async function assertEnvoyAccepts(configs: ReadonlyMap<string, JsonObject>): Promise<void> {
  const together = await validateConfig(merged([...configs.values()]));
  if (together === null) return;
  const refusals: string[] = [];
  for (const [name, config] of configs) {
    const refusal = await validateConfig(config);
    if (refusal !== null) refusals.push(`${name}: ${refusal}`);
  }
  assert.fail(refusals.join("\n") || `each is accepted, but not all of them together: ${together}`);
}

/** Each configuration's listeners get addresses of their own, so that only those of one configuration can collide. */
function merged(configs: readonly JsonObject[]): JsonObject {
  const addresses = new Map<string, string>();
  const addressFor = (key: string) => {
    const number = addresses.size + 1;
    const known = addresses.get(key) ?? `127.${1 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`;
    addresses.set(key, known);
    return known;
  };
  const listeners: JsonObject[] = [];
  const clusters: JsonObject[] = [];
  const secrets = new Map<string, JsonObject>();
  for (const [index, { staticResources }] of configs.entries()) {
    if (!isObject(staticResources)) continue;
    for (const secret of objects(staticResources.secrets)) secrets.set(String(secret.name), secret);
    for (const listener of objects(staticResources.listeners)) {
      const { additionalAddresses: _, ...rest } = listener;
      listeners.push({
        ...rest,
        name: `${index}/${String(listener.name)}`,
        address: apart(listener.address, index, addressFor),
      });
    }
    for (const cluster of objects(staticResources.clusters)) {
      clusters.push({ ...cluster, name: `${index}/${String(cluster.name)}` });
    }
  }
  const layeredRuntime = configs[0]?.layeredRuntime ?? {};
  return { layeredRuntime, staticResources: { listeners, clusters, secrets: [...secrets.values()] } };
}

/** The same address for what had the same in one configuration, and another for every other configuration. */
function apart(address: JsonValue | undefined, index: number, addressFor: (key: string) => string): JsonObject {
  if (isObject(address) && isObject(address.pipe)) return { pipe: { path: `${String(address.pipe.path)}-${index}` } };
  const socketAddress = isObject(address) && isObject(address.socketAddress) ? address.socketAddress : {};
  return { socketAddress: { ...socketAddress, address: addressFor(`${index} ${String(socketAddress.address)}`) } };
}

export function objects(value: JsonValue | undefined): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
