import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import type { TestContext } from "node:test";
import { defaultInjectionConfig } from "../../src/injection/injection-config.ts";
import { createMeshSettings } from "../../src/injection/mesh-settings.ts";
import type { PodManifest } from "../../src/injection/pod.ts";
import { CONTAINER_NAME } from "../../src/injection/pod-contract.ts";
import { selectProxyConfig } from "../../src/injection/select-proxy-config.ts";
import { type EnvoyInPod, startEnvoyInPod } from "./envoy-in-pod.ts";
import { byName, containerOf, inject } from "./injected-pod.ts";
import { runInit } from "./intercepted-pod.ts";
import { meshOf } from "./mesh.ts";
import type { TestHost } from "./netns.ts";
import { temporaryPath } from "./state.ts";

/** A pod of `shop` with these annotations, as the webhook makes it in the mesh that `yaml` describes. */
export function injectedInMesh(
  yaml: string,
  annotations: Readonly<Record<string, string>> = {},
  labels: Readonly<Record<string, string>> = {},
): PodManifest {
  const mesh = meshOf(yaml);
  const config = createMeshSettings(defaultInjectionConfig, () => mesh.config)();
  const proxyConfig = selectProxyConfig(mesh.proxyConfigsFor("shop"), "shop", labels);
  return inject(annotations, config, { proxyConfig }).pod;
}

/**
 * Runs the init container of an injected pod on a host of a test network, and then its proxy, with the arguments and
 * variables that they have in the pod. No control plane is there: the proxy is what its bootstrap makes of it.
 */
export async function startInjectedEnvoy(t: TestContext, host: TestHost, pod: PodManifest): Promise<EnvoyInPod> {
  const [init, proxy] = [containerOf(pod, CONTAINER_NAME.init), containerOf(pod, CONTAINER_NAME.proxy)];
  const bootstrap = await temporaryPath(t, "envoy.json");
  const [command, ...flags] = argumentsOf(init);
  assert.equal(command, "init");
  await runInit(t, host, [...flags, `--bootstrap=${bootstrap}`], { env: variablesOf(init) });
  const { dynamicResources: _, ...config } = JSON.parse(await readFile(bootstrap, "utf8"));
  const [option, , ...args] = argumentsOf(proxy);
  assert.equal(option, "-c");
  return startEnvoyInPod(t, host, config, { args, env: variablesOf(proxy) });
}

function argumentsOf({ args }: Record<string, unknown>): readonly string[] {
  return Array.isArray(args) ? args.map(String) : [];
}

/** Those with a value of their own; what comes from the pod is the host's. */
function variablesOf({ env }: Record<string, unknown>): Record<string, string> {
  return Object.fromEntries(Object.entries(byName(env)).filter(([, value]) => value !== ""));
}
