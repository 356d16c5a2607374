import type { TestContext } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import { systemClock } from "../../src/platform/clock.ts";
import { temporaryAuthority } from "./authority.ts";
import { type CallerIdentity, get, type HttpAnswer, type HttpCall, identityOf } from "./caller.ts";
import { istio, pod } from "./manifests.ts";
import { meshOf } from "./mesh.ts";
import { type RunningSidecars, startSidecars } from "./sidecars.ts";

/** A gateway's pod, `edge` of namespace `ingress`, at a real Envoy, and the objects that make it listen and route. */

const LABELS = { istio: "ingress", app: "edge" };

/** For all pods of the gateway. */
export function gateway(name: string, servers: readonly object[], namespace = "ingress"): string {
  return istio("Gateway", name, { selector: { istio: "ingress" }, servers }, namespace);
}

export interface GatewayIdentities {
  /** The gateway's own, which the rest of the mesh trusts. */
  readonly own: CallerIdentity;
  readonly of: (serviceAccount: string, namespace?: string) => Promise<CallerIdentity>;
}

export async function gatewayIdentities(t: TestContext): Promise<GatewayIdentities> {
  const authority = await temporaryAuthority(t, systemClock);
  const of = (serviceAccount: string, namespace = "shop") => identityOf(authority, { namespace, serviceAccount });
  return { of, own: await of("edge", "ingress") };
}

export interface RunningGateway extends RunningSidecars {
  /** A request for a host, by default at port 80. */
  ask(host: string, call?: HttpCall, listener?: string): Promise<HttpAnswer>;
}

/** The mesh that `yaml` describes with the gateway's pod in it, and a sidecar beside each of `callers` (`POD.NAMESPACE`). */
export async function startGateway(
  t: TestContext,
  { own }: GatewayIdentities,
  yaml: string,
  { metadata = {}, callers = [] }: { readonly metadata?: JsonObject; readonly callers?: readonly string[] } = {},
): Promise<RunningGateway> {
  const mesh = meshOf(pod({ name: "edge", namespace: "ingress", ip: "127.0.0.50", labels: LABELS }) + yaml);
  const running = await startSidecars(t, own, {
    edge: { mesh, pod: "edge.ingress", type: "router", metadata },
    ...Object.fromEntries(callers.map((name) => [name, { mesh, pod: name }])),
  });
  return {
    ...running,
    ask: (host, { headers, ...call } = {}, listener = "0.0.0.0_80") =>
      get(running.port("edge", listener), { ...call, headers: { host, ...headers } }),
  };
}
