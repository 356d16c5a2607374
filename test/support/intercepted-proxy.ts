import type { TestContext } from "node:test";
import { systemClock } from "../../src/platform/clock.ts";
import { selfContainedConfig } from "../../src/translate/self-contained.ts";
import { createTranslator } from "../../src/translate/translator.ts";
import { temporaryAuthority } from "./authority.ts";
import { identityOf } from "./caller.ts";
import { type EnvoyInPod, startEnvoyInPod } from "./envoy-in-pod.ts";
import { pod } from "./manifests.ts";
import { meshOf, proxyOf } from "./mesh.ts";
import type { TestHost } from "./netns.ts";

/**
 * The proxy beside the pod `web-0` of `shop`, whose label is `app: web` and which takes mutual TLS, on a host of a test
 * network in the mesh that `yaml` describes besides.
 */
export async function startInterceptedProxy(
  t: TestContext,
  host: TestHost,
  yaml: string,
  metadata: { [key: string]: string } = {},
): Promise<EnvoyInPod> {
  const mesh = meshOf(pod({ name: "web-0", ip: host.ipv4, labels: { app: "web" }, tls: true }) + yaml);
  const resources = createTranslator(mesh).translate({
    ...proxyOf(mesh, "web-0.shop"),
    metadata: { INSTANCE_IPS: host.ipv4, ...metadata },
  });
  const authority = await temporaryAuthority(t, systemClock);
  const identity = await identityOf(authority, { namespace: "shop", serviceAccount: "default" });
  return startEnvoyInPod(t, host, selfContainedConfig(resources, "sidecar~10.99.0.2~web-0.shop~shop", identity));
}
