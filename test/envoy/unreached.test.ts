import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { placeholderIdentity } from "../../src/ca/serving/placeholder-identity.ts";
import { get } from "../support/caller.ts";
import { envoyMissing } from "../support/envoy.ts";
import { freePort } from "../support/free-port.ts";
import { endpoint, istio, pod, service } from "../support/manifests.ts";
import { meshOf } from "../support/mesh.ts";
import { startSidecars } from "../support/sidecars.ts";
import { listenOn } from "../support/upstream.ts";

const IP = "10.1.0.9";

/** The sidecar of an application on `appPort` of 127.0.0.1, which listens on `number` itself, without interception. */
function serverOf(number: number, appPort: number) {
  const ingress = {
    port: { number, name: "http", protocol: "HTTP" },
    captureMode: "NONE",
    defaultEndpoint: `127.0.0.1:${appPort}`,
  };
  const mesh = meshOf(
    pod({ name: "server-0", ip: IP, labels: { app: "server" } }) + istio("Sidecar", "server", { ingress: [ingress] }),
  );
  return { mesh, pod: "server-0.shop" };
}

test("unasked, a request is sent again where its server's sidecar did not reach the application, but not at the application's own 503", {
  skip: envoyMissing(),
}, async (t) => {
  let asked = 0;
  const busy = createServer((_, response) => {
    asked++;
    response.writeHead(503).end("busy");
  });
  const servers = await startSidecars(t, placeholderIdentity(), {
    gone: serverOf(8080, await freePort()),
    busy: serverOf(8081, await listenOn(t, busy, "127.0.0.1")),
  });
  const names = ["gone", "busy"];
  const callers = names.flatMap((name, index) => [
    service({ name, ports: { http: 80 }, clusterIP: `10.96.0.${index + 1}` }),
    endpoint(name, { name, ip: "127.0.0.1" }, { http: servers.port(name, `${IP}_${8080 + index}`) }),
  ]);
  const mesh = meshOf(pod({ name: "caller-0", ip: "10.1.0.8", labels: { app: "caller" } }) + callers.join(""));
  const caller = await startSidecars(t, placeholderIdentity(), { caller: { mesh, pod: "caller-0.shop" } });
  const ask = (host: string) => get(caller.port("caller", "0.0.0.0_80"), { headers: { host } });
  const retries = async (name: string) => {
    const stats = await caller.envoy.admin(`/stats?filter=outbound.80..${name}.shop.*upstream_rq_retry$`);
    return Number(stats.trim().split(": ")[1]);
  };

  const gone = await ask("gone");
  assert.deepEqual([gone.status, gone.headers["x-trysail-unreached"]], [503, "true"]);
  assert.equal(await retries("gone"), 2);
  const answer = await ask("busy");
  assert.deepEqual([answer.status, answer.body, answer.headers["x-trysail-unreached"]], [503, "busy", undefined]);
  assert.deepEqual([asked, await retries("busy")], [1, 0]);
});
