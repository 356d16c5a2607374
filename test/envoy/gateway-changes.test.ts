import assert from "node:assert/strict";
import { test } from "node:test";
import type { TLSSocket } from "node:tls";
import { createCertificates } from "../support/certificates.ts";
import { envoyMissing } from "../support/envoy.ts";
import { answerOn, GATEWAY_LABELS, GATEWAY_PORT, startJoinedGateway } from "../support/joined-gateway.ts";
import { istio, secret } from "../support/manifests.ts";
import { until } from "../support/until.ts";

/** While callers ask a gateway, by connections that stand and by new ones, its servers and routes change: at a real Envoy. */

const IP = "127.0.0.99";

/** Each version has other servers beside the one that is asked, and other routes for it. */
function manifests(version: number): string {
  const server = (name: string, tls: object = {}) => ({
    port: { number: GATEWAY_PORT, name, protocol: "HTTPS" },
    bind: IP,
    hosts: [`${name}.test`],
    tls: { mode: "SIMPLE", credentialName: "shop", ...tls },
  });
  const others = [
    [],
    [server("other")],
    [server("other", { minProtocolVersion: "TLSV1_3" }), server("third", { mode: "ISTIO_MUTUAL", credentialName: "" })],
    // A Secret that is not there: its server's own matter.
    [server("lost", { credentialName: "lost" })],
  ];
  return [
    istio("Gateway", "public", { selector: GATEWAY_LABELS, servers: [server("shop"), ...(others[version % 4] ?? [])] }),
    istio("VirtualService", "versioned", {
      hosts: ["shop.test"],
      gateways: ["public"],
      http: [{ directResponse: { status: 200, body: { string: `{version ${version}}` } } }],
    }),
  ].join("");
}

test("no request fails at a gateway while its servers and routes change", { skip: envoyMissing() }, async (t) => {
  const { root, leaf, read } = await createCertificates(t);
  await root("root");
  await leaf("shop", { by: "root", san: "DNS:*.test" });
  const { envoy, open, change } = await startJoinedGateway(t, IP, {
    "changing.yaml": manifests(0),
    "secret.yaml": secret("shop", { "tls.crt": await read("shop.pem"), "tls.key": await read("shop.key") }),
  });
  const standing = await until("a connection", () => open("shop.test"));
  let latest = "";
  let asked = 0;
  const failures: string[] = [];
  let stopped = false;
  const ask = async (socket: TLSSocket) => {
    const answer = await answerOn(socket, "shop.test");
    latest = /version \d+/.exec(answer)?.[0] ?? latest;
    asked++;
    if (!answer.startsWith("HTTP/1.1 200 ")) failures.push(answer);
  };
  const forever = async (once: () => Promise<void>) => {
    while (!stopped) await once().catch((error: unknown) => void failures.push(String(error)));
  };
  const loops = [
    forever(() => ask(standing)),
    forever(async () => {
      const socket = await open("shop.test");
      await ask(socket).finally(() => socket.destroy());
    }),
  ];
  for (let version = 1; version <= 12; version++) {
    await change("changing.yaml", manifests(version));
    await until(`version ${version}`, () => latest === `version ${version}`);
  }
  stopped = true;
  await Promise.all(loops);
  assert.deepEqual(failures.slice(0, 5), []);
  assert.ok(asked > 50, `${asked} requests`);
  const stats = await envoy.admin("/stats?filter=listener_manager.listener_(modified|in_place_updated)$");
  const changes = [...stats.matchAll(/: (\d+)$/gm)].reduce((sum, [, count]) => sum + Number(count), 0);
  assert.ok(changes >= 12, stats);
});
