import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import type { HttpCall } from "../support/caller.ts";
import { envoyMissing } from "../support/envoy.ts";
import { gateway, gatewayIdentities, startGateway } from "../support/gateway.ts";
import { endpoint, istio, pod, service } from "../support/manifests.ts";
import { rateLimit, startTestRateLimit } from "../support/rate-limits.ts";
import { startEcho, startUpstream } from "../support/upstream.ts";

/** What stands in front of all servers of a gateway, at a real Envoy: limits and policies of its own namespace. */

const STRANGER = "127.0.0.88";
const selector = { matchLabels: { istio: "ingress" } };
const limit = (name: string, ports: number[], more: object = {}) => ({
  name,
  scope: "PROXY",
  rate: { amount: 1, unit: "DAY" },
  ports,
  ...more,
});
/** By the clock, of which no test sees a month end. */
const counted = { scope: "GLOBAL", rate: { amount: 1, unit: "MONTH" }, by: [{ header: "x-user" }] };
const server = (number: number, protocol: string) => ({
  port: { number, name: `p-${number}`, protocol },
  hosts: ["*"],
});

test("limits and policies stand in front of a gateway's servers", { skip: envoyMissing() }, async (t) => {
  const limits = [
    rateLimit(
      "edge",
      {
        selector,
        // It counts in this process, which may stand still for a while on a busy machine; unanswered, a request would pass.
        service: { timeout: "30s" },
        requests: [limit("own", [80]), limit("all", [81], counted)],
        connections: [limit("tcp", [3306])],
      },
      "ingress",
    ),
    // Not for this gateway: another namespace's, and other pods'.
    rateLimit("elsewhere", { selector, requests: [limit("own", [82])] }),
    rateLimit("others", { selector: { matchLabels: { istio: "egress" } }, requests: [limit("own", [82])] }, "ingress"),
  ].join("");
  const counting = await startTestRateLimit(t, limits);
  const web = await startUpstream(t, "web", "127.0.0.61");
  const echo = await startEcho(t, "127.0.0.62");
  const of = { name: "web-0", ip: "127.0.0.61" };
  const { ask, port } = await startGateway(
    t,
    await gatewayIdentities(t),
    [
      limits,
      service({
        name: "trysail-ratelimit",
        namespace: "trysail-ratelimit",
        ports: { grpc: 8081 },
        clusterIP: "10.96.0.9",
      }),
      endpoint(
        "trysail-ratelimit",
        { name: "one", namespace: "trysail-ratelimit", ip: "127.0.0.1" },
        { grpc: counting.ports.grpc },
      ),
      gateway("public", [
        ...[80, 81, 82].map((number) => server(number, "HTTP")),
        ...[3306, 3307].map((number) => server(number, "TCP")),
      ]),
      pod(of),
      service({ name: "web", ports: { http: 80, tcp: 81 }, clusterIP: "10.96.1.1" }),
      endpoint("web", of, { http: web.port }),
      endpoint("web", { name: "echo-0", ip: "127.0.0.62" }, { tcp: echo.port }),
      istio("VirtualService", "web", {
        hosts: ["*"],
        gateways: ["ingress/public"],
        http: [{ route: [{ destination: { host: "web", port: { number: 80 } } }] }],
        tcp: [{ route: [{ destination: { host: "web", port: { number: 81 } } }] }],
      }),
      istio(
        "AuthorizationPolicy",
        "edge",
        { selector, action: "DENY", rules: [{ from: [{ source: { ipBlocks: [`${STRANGER}/32`] } }] }] },
        "ingress",
      ),
    ].join(""),
  );
  const status = async (number: number, call: HttpCall = {}) =>
    (await ask("web.test", call, `0.0.0.0_${number}`)).status;
  const speak = async (number: number, localAddress = "127.0.0.1") => {
    const socket = connect({ port: port("edge", `0.0.0.0_${number}`), host: "127.0.0.1", localAddress });
    const heard = await new Promise((resolve) => {
      socket.once("data", (bytes) => resolve(String(bytes)));
      for (const end of ["error", "close"]) socket.once(end, () => resolve(""));
      socket.write("there");
    });
    socket.destroy();
    return heard === "hello there";
  };

  await t.test("requests are limited at the ports that a limit names, by the proxy alone", async () => {
    assert.deepEqual([await status(80), await status(80)], [200, 429]);
  });

  await t.test("or by all gateways together, for each caller", async () => {
    const by = (user: string) => status(81, { headers: { "x-user": user } });
    assert.deepEqual([await by("ann"), await by("ann"), await by("bob")], [200, 429, 200]);
  });

  await t.test("limits of another namespace or for other pods do not hold", async () => {
    assert.deepEqual([await status(82), await status(82)], [200, 200]);
  });

  await t.test("connections are limited as well", async () => {
    assert.deepEqual([await speak(3306), await speak(3306)], [true, false]);
    assert.deepEqual([await speak(3307), await speak(3307)], [true, true]);
  });

  await t.test("policies deny connections and requests", async () => {
    assert.equal(await speak(3307, STRANGER), false);
    assert.equal(await speak(3307), true);
    assert.equal(await status(82, { from: STRANGER }), 403);
    assert.equal(await status(82), 200);
  });
});
