import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { createServer as createTlsServer } from "node:tls";
import { systemClock } from "../../src/platform/clock.ts";
import { temporaryAuthority } from "../support/authority.ts";
import { type CallerIdentity, callHttp, callTcp, identityOf } from "../support/caller.ts";
import { envoyMissing } from "../support/envoy.ts";
import { istio, pod, service } from "../support/manifests.ts";
import { meshOf } from "../support/mesh.ts";
import { startSidecars } from "../support/sidecars.ts";
import { listenOn, type SeenRequest, startEcho, startUpstream } from "../support/upstream.ts";

/** Who gets through to a workload under each mode of PeerAuthentication, at a real Envoy. */

const WAYS = ["plaintext", "mesh", "no certificate", "other root", "other trust domain"] as const;
type Way = (typeof WAYS)[number];
type Layer = "http" | "tcp" | "unserved";
/** No request begins so: else Envoy waits for more of it where no Service says that it is none. */
const WORDS = "ahoy, there";

interface Row {
  readonly name: string;
  readonly spec: (ports: Readonly<Record<Layer, number>>) => object;
  readonly lets: Readonly<Record<Layer, readonly Way[]>>;
}

const rows: readonly Row[] = [
  {
    name: "STRICT",
    spec: () => ({ mtls: { mode: "STRICT" } }),
    lets: { http: ["mesh"], tcp: ["mesh"], unserved: ["mesh"] },
  },
  {
    name: "PERMISSIVE",
    spec: () => ({ mtls: { mode: "PERMISSIVE" } }),
    lets: { http: ["plaintext", "mesh"], tcp: ["plaintext", "mesh"], unserved: ["plaintext", "mesh"] },
  },
  {
    name: "UNSET",
    spec: () => ({}),
    lets: { http: ["plaintext", "mesh"], tcp: ["plaintext", "mesh"], unserved: ["plaintext", "mesh"] },
  },
  {
    name: "DISABLE",
    spec: () => ({ mtls: { mode: "DISABLE" } }),
    lets: { http: ["plaintext"], tcp: ["plaintext"], unserved: ["plaintext"] },
  },
  {
    name: "STRICT but for HTTP",
    spec: ({ http }) => ({ mtls: { mode: "STRICT" }, portLevelMtls: { [http]: { mode: "DISABLE" } } }),
    lets: { http: ["plaintext"], tcp: ["mesh"], unserved: ["mesh"] },
  },
  {
    name: "PERMISSIVE but for TCP",
    spec: ({ tcp }) => ({ portLevelMtls: { [tcp]: { mode: "STRICT" } } }),
    lets: { http: ["plaintext", "mesh"], tcp: ["mesh"], unserved: ["plaintext", "mesh"] },
  },
  {
    name: "STRICT on a port that no Service leads to",
    spec: ({ unserved }) => ({ portLevelMtls: { [unserved]: { mode: "STRICT" } } }),
    lets: { http: ["plaintext", "mesh"], tcp: ["plaintext", "mesh"], unserved: ["mesh"] },
  },
];

async function startWorkloads(t: TestContext) {
  const authority = await temporaryAuthority(t, systemClock);
  const otherRoot = await temporaryAuthority(t, systemClock);
  const account = { namespace: "shop", serviceAccount: "page" };
  const server = await identityOf(authority, { namespace: "shop", serviceAccount: "server" });
  const mesh = await identityOf(authority, account);
  const identities: Record<Way, Partial<CallerIdentity> | undefined> = {
    plaintext: undefined,
    mesh,
    "no certificate": { rootPem: mesh.rootPem },
    // It trusts the mesh, so that only the mesh can refuse it.
    "other root": { ...(await identityOf(otherRoot, account)), rootPem: mesh.rootPem },
    "other trust domain": await identityOf(authority, { ...account, trustDomain: "other.example" }),
  };
  const [app, echo, unserved] = [await startUpstream(t, "app"), await startEcho(t), await startEcho(t)];
  const ports = { http: app.port, tcp: echo.port, unserved: unserved.port };
  const own = await startOwnTls(t);
  const workloads = rows.map(({ spec }, index) => {
    const name = `app-${index}`;
    const selector = { matchLabels: { app: name } };
    return [
      pod({ name, ip: "127.0.0.1", labels: { app: name } }),
      service({
        name,
        ports: {
          http: { port: 80, targetPort: ports.http },
          tcp: { port: 81, targetPort: ports.tcp },
          "tcp-own": { port: 82, targetPort: own.port },
        },
      }),
      istio("PeerAuthentication", name, { selector, ...spec(ports) }),
    ].join("");
  });
  const snapshot = meshOf(workloads.join(""));
  const running = await startSidecars(
    t,
    server,
    Object.fromEntries(rows.map(({ name }, index) => [name, { mesh: snapshot, pod: `app-${index}.shop` }])),
  );
  return { running, identities, ports, own, mesh };
}

/** An application that speaks TLS of its own, with a certificate that the mesh knows nothing of. */
async function startOwnTls(t: TestContext) {
  const authority = await temporaryAuthority(t, systemClock);
  const { chainPem, keyPem, rootPem } = await identityOf(authority, { namespace: "own", serviceAccount: "app" });
  const server = createTlsServer({ cert: chainPem, key: keyPem }, (socket) => {
    socket.on("error", () => socket.destroy());
    socket.on("data", () => socket.write("own"));
  });
  return { port: await listenOn(t, server, "127.0.0.1"), caller: { rootPem } };
}

test("PeerAuthentication holds at a real Envoy", { skip: envoyMissing() }, async (t) => {
  const { running, identities, ports, own, mesh } = await startWorkloads(t);
  const call = async (sidecar: string, layer: Layer, way: Way) => {
    const identity = identities[way];
    const inbound = {
      port: running.port(sidecar, "virtualInbound"),
      destination: ports[layer],
      ...(identity === undefined ? {} : { identity }),
    };
    if (layer !== "http") return (await callTcp(inbound, WORDS)) === `hello ${WORDS}`;
    return (await callHttp(inbound))?.status === 200;
  };

  for (const { name, lets } of rows) {
    for (const layer of ["http", "tcp", "unserved"] as const) {
      await t.test(`${name}: ${layer} lets in ${lets[layer].join(" and ")} alone`, async () => {
        const getThrough: Way[] = [];
        for (const way of WAYS) if (await call(name, layer, way)) getThrough.push(way);
        assert.deepEqual(getThrough, lets[layer]);
      });
    }
  }

  const ownTls = async (sidecar: string) =>
    callTcp({
      port: running.port(sidecar, "virtualInbound"),
      destination: own.port,
      identity: own.caller,
      alpn: ["http/1.1"],
    });

  await t.test("an application's own TLS passes, but where callers must use the mesh's", async () => {
    assert.equal(await ownTls("PERMISSIVE"), "own");
    assert.equal(await ownTls("DISABLE"), "own");
    assert.equal(await ownTls("STRICT"), null);
  });

  await t.test("the application is told who called, and believes nobody who has no certificate", async () => {
    const headers = { "x-forwarded-client-cert": "URI=spiffe://cluster.local/ns/root/sa/god" };
    const told = async (identity?: CallerIdentity) => {
      const port = running.port("PERMISSIVE", "virtualInbound");
      const inbound = { port, destination: ports.http, ...(identity && { identity }) };
      const answer = await callHttp(inbound, { headers: identity === undefined ? headers : {} });
      const seen: SeenRequest = JSON.parse(answer?.body ?? "null");
      return seen.headers["x-forwarded-client-cert"];
    };
    assert.equal(await told(), undefined);
    assert.match(String(await told(mesh)), /URI=spiffe:\/\/cluster\.local\/ns\/shop\/sa\/page/);
  });
});
