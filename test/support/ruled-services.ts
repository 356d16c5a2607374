import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { placeholderIdentity } from "../../src/ca/serving/placeholder-identity.ts";
import { get, type HttpCall } from "./caller.ts";
import { endpoint, istio, pod, service } from "./manifests.ts";
import { meshOf } from "./mesh.ts";
import { startSidecars } from "./sidecars.ts";
import type { Upstream } from "./upstream.ts";

/** Services by name: who answers for each, and the DestinationRule that it is under. */
export type RuledServices = Readonly<Record<string, readonly [endpoints: Endpoints, rule: object]>>;

type Endpoints = readonly Pick<Upstream, "ip" | "port">[];

/** A real Envoy beside a caller of services, each under a rule of its own. */
export async function startRuled(t: TestContext, services: RuledServices) {
  const yaml = Object.entries(services).map(([name, [endpoints, spec]], index) => ruled(name, index, endpoints, spec));
  const mesh = meshOf([pod({ name: "caller", ip: "127.0.0.60" }), ...yaml].join(""));
  const { port, envoy } = await startSidecars(t, placeholderIdentity(), { caller: { mesh, pod: "caller.shop" } });
  const listener = port("caller", "0.0.0.0_80");
  const ask = (host: string, call: HttpCall = {}) => get(listener, { ...call, headers: { host, ...call.headers } });
  const upstreamOf = async (host: string, call: HttpCall = {}) => {
    const { status, body } = await ask(host, call);
    assert.equal(status, 200, body);
    return String(JSON.parse(body).upstream);
  };
  const stat = (host: string, name: string) =>
    envoy.stat(`cluster.outbound|80||${host}.shop.svc.cluster.local.${name}`);
  return { envoy, listener, ask, upstreamOf, stat };
}

/** A service of these endpoints, under a rule. No request is sent again but those of `x-retry`. */
function ruled(name: string, index: number, endpoints: Endpoints, spec: object): string {
  const pods = endpoints.map(({ ip, port }, at) => {
    const of = { name: `${name}-${at}`, ip, labels: { app: name, version: `v${at + 1}` } };
    return pod(of) + endpoint(name, of, { http: port });
  });
  return [
    service({ name, ports: { http: 80 }, clusterIP: `10.96.1.${index + 1}` }),
    ...pods,
    istio("DestinationRule", name, { host: name, ...spec }),
    istio("VirtualService", name, {
      hosts: [name],
      http: [
        {
          match: [{ headers: { "x-subset": {} } }],
          route: [{ destination: { host: name, subset: "v1" } }],
          retries: { attempts: 0 },
        },
        {
          match: [{ headers: { "x-retry": {} } }],
          route: [{ destination: { host: name } }],
          retries: { attempts: 3, retryOn: "503" },
        },
        { route: [{ destination: { host: name } }], retries: { attempts: 0 } },
      ],
    }),
  ].join("");
}
