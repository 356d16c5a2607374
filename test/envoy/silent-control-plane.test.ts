import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { discoveryResources } from "../../src/init/discovery.ts";
import { testControlPlane } from "../support/control-plane.ts";
import { envoyMissing, startEnvoy } from "../support/envoy.ts";
import { service } from "../support/manifests.ts";
import { temporaryPath } from "../support/state.ts";
import { until } from "../support/until.ts";
import { listenOn } from "../support/upstream.ts";

/** What docs/install.md promises where one replica is lost: its proxies have new configuration from another by then. */
const STALE_MS = 15_000;

test("a control plane that falls silent, as a lost node does, is left for another one", {
  skip: envoyMissing(),
}, async (t) => {
  const mesh = await testControlPlane(t, { "first.yaml": service({ name: "first", ports: { http: 80 } }) });
  const relay = await startRelay(t, mesh.ports.grpc);
  const account = { namespace: "shop", serviceAccount: "web" };
  const tokenFile = await temporaryPath(t, "token");
  await writeFile(tokenFile, await mesh.issuer.issue({ ...account, audience: "istio-ca", ttlMs: 3_600_000 }));
  const discovery = discoveryResources({ address: `127.0.0.1:${relay.port}`, tokenFile, rootCertFile: mesh.rootPath });
  const envoy = await startEnvoy(t, {
    node: {
      id: "sidecar~127.0.0.1~web-0.shop~shop.svc.cluster.local",
      cluster: "web",
      metadata: { NAMESPACE: "shop", SERVICE_ACCOUNT: "web" },
    },
    dynamic_resources: discovery,
  });
  const knows = async (name: string) => (await envoy.admin("/clusters")).includes(`outbound|80||${name}.`);
  await until("the first service", () => knows("first"));

  // Behind a Service, one of two attempts goes to the lost replica for as long as Kubernetes takes it for well.
  relay.silence({ attempts: 1 });
  await writeFile(join(mesh.dir, "second.yaml"), service({ name: "second", ports: { http: 80 } }));
  await until("what was configured since", () => knows("second"), { timeoutMs: STALE_MS });
  assert.equal(relay.silenced(), 2, "the connection that there was, and the first attempt");
});

interface Relay {
  readonly port: number;
  /** Nothing passes any more on the connections that there are and on the next `attempts`, and none is closed. */
  silence(next: { readonly attempts: number }): void;
  /** Connections on which nothing passes. */
  silenced(): number;
}

/** Stands in front of a server as a network does. */
async function startRelay(t: TestContext, target: number): Promise<Relay> {
  const open = new Set<readonly Socket[]>();
  let attempts = 0;
  let silenced = 0;
  const server = createServer((client) => {
    client.on("error", () => client.destroy());
    t.after(() => client.destroy());
    if (attempts > 0) {
      attempts--;
      silenced++;
      return;
    }
    const upstream = connect(target, "127.0.0.1");
    t.after(() => upstream.destroy());
    const pair = [client, upstream];
    open.add(pair);
    for (const [from, to] of [pair, pair.toReversed()]) {
      from?.on("error", () => to?.destroy());
      from?.on("close", () => open.delete(pair));
      if (to !== undefined) from?.pipe(to);
    }
  });
  return {
    port: await listenOn(t, server, "127.0.0.1"),
    silence(next) {
      attempts = next.attempts;
      silenced += open.size;
      for (const pair of open) for (const socket of pair) socket.unpipe().pause();
    },
    silenced: () => silenced,
  };
}
