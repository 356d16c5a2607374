import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { get } from "node:http";
import { request } from "node:https";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { JsonObject } from "@bufbuild/protobuf";
import { loadAuthority } from "../../src/ca/authority/authority.ts";
import { createFolderStore } from "../../src/ca/authority/authority-folder-store.ts";
import { firstOf } from "../../src/ca/authority/authority-source.ts";
import type { AuthorityStatus } from "../../src/ca/authority/authority-status.ts";
import { createFolderSource } from "../../src/ca/authority/folder-source.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { createLog } from "../../src/platform/log.ts";
import { systemRandom } from "../../src/platform/random.ts";
import { temporaryAuthority } from "../support/authority.ts";
import { type CallerIdentity, identityOf } from "../support/caller.ts";
import { type TestControlPlane, testControlPlane } from "../support/control-plane.ts";
import { envoyMissing, startEnvoy } from "../support/envoy.ts";
import { meshConfig } from "../support/manifests.ts";
import { type MutualTlsPair, startLoad, startPair } from "../support/mutual-tls-pair.ts";
import { buildRevocationList } from "../support/revocation-list.ts";
import { temporaryPath, temporaryState } from "../support/state.ts";
import { until } from "../support/until.ts";

/** Two clusters under one root. What is served is the first; certificates of the second are taken back. */

const skip = envoyMissing();
const trustDomain = "cluster.local";

/** `make -C certs`. */
async function certs(...args: string[]): Promise<void> {
  const folder = fileURLToPath(new URL("../../certs", import.meta.url));
  await promisify(execFile)("make", ["-s", "-C", folder, ...args]);
}

interface Clusters {
  readonly out: string;
  /** Of the first cluster: what the control plane reads. */
  readonly caDir: string;
  /** A workload's certificate by the second cluster's intermediate. */
  readonly stranger: CallerIdentity;
}

async function makeClusters(t: TestContext): Promise<Clusters> {
  const out = await temporaryPath(t, "certs");
  await certs("root", "intermediate", `OUT=${out}`, "CLUSTER=one");
  await certs("intermediate", `OUT=${out}`, "CLUSTER=two");
  const authority = await loadAuthority({
    ...{ clock: systemClock, random: systemRandom, trustDomain, log: createLog("silent") },
    store: createFolderStore({ state: await temporaryState(t), trustDomain }),
    first: () => firstOf(createFolderSource({ path: join(out, "two"), trustDomain })),
  });
  const trustBundlePem = authority.trustBundlePem();
  const signed = { signer: authority.signer(), rootCertificatePem: trustBundlePem, trustBundlePem };
  const stranger = await identityOf(signed, { namespace: "shop", serviceAccount: "client" });
  return { out, caDir: join(out, "one"), stranger };
}

/** Makes a list of each authority, and gives them all to the first cluster. */
async function publishLists({ out }: Clusters, ...ofRoot: string[]): Promise<void> {
  await certs("list", `OUT=${out}`, ...ofRoot);
  for (const cluster of ["one", "two"]) await certs("list", `OUT=${out}`, `BY=${cluster}`);
  await certs("lists", `OUT=${out}`, "CLUSTER=one");
}

/** What a peer that shows this certificate is answered by the server's Envoy; null where it is cut off. */
function statusFor(port: number, { chainPem, keyPem, rootPem }: CallerIdentity): Promise<number | null> {
  return new Promise((resolve) => {
    const asking = request({
      ...{ host: "127.0.0.1", port, cert: chainPem, key: keyPem, ca: rootPem, agent: false },
      checkServerIdentity: () => undefined,
    });
    asking.on("error", () => resolve(null));
    asking.on("response", (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? null);
    });
    asking.end();
  });
}

/** What the control plane answers who would renew by that certificate. */
function renewalStatus(mesh: TestControlPlane, identity: CallerIdentity): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const asking = request({
      ...{ host: "localhost", port: mesh.ports.https, method: "POST", path: "/v1/jwt-svids", agent: false },
      ...{ cert: identity.chainPem, key: identity.keyPem, ca: identity.rootPem },
      headers: { "content-type": "application/json" },
    });
    asking.on("error", reject);
    asking.on("response", (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    });
    asking.end('{"audience":["ledger"]}');
  });
}

async function listsOf(mesh: TestControlPlane): Promise<AuthorityStatus["revocationLists"]> {
  const token = await mesh.issuer.issue({ namespace: "trysail-system", serviceAccount: "trysail", ttlMs: 60_000 });
  const headers = { authorization: `Bearer ${token}` };
  const status = (await (await fetch(`http://127.0.0.1:${mesh.ports.http}/ca`, { headers })).json()) as AuthorityStatus;
  return status.revocationLists;
}

async function usableMetric(mesh: TestControlPlane): Promise<string | undefined> {
  const text = await (await fetch(`http://127.0.0.1:${mesh.ports.monitoring}/metrics`)).text();
  return /^trysail_authority_revocation_lists_usable ([01])$/m.exec(text)?.[1];
}

async function hasLists({ server }: MutualTlsPair): Promise<boolean> {
  return (await server.admin("/config_dump?resource=dynamic_active_secrets")).includes('"crl"');
}

/** Lists of every authority but the second cluster's, which end in so many milliseconds. */
async function publishShortLists({ out, caDir }: Clusters, lifeMs: number): Promise<void> {
  const lists = await Promise.all(
    [join(out, "root/root"), join(out, "one/ca")].map(async (prefix) =>
      buildRevocationList({
        certificatePem: await readFile(`${prefix}-cert.pem`, "utf8"),
        keyPem: await readFile(`${prefix}-key.pem`, "utf8"),
        thisUpdate: Date.now() - 60_000,
        nextUpdate: Date.now() + lifeMs,
      }),
    ),
  );
  await writeFile(join(caDir, ".new"), lists.join(""));
  await rename(join(caDir, ".new"), join(caDir, "ca-crl.pem"));
}

test("under lists that have ended Envoy refuses everybody, until it is given others", { skip }, async (t) => {
  const clusters = await makeClusters(t);
  const { caDir } = clusters;
  const mesh = await testControlPlane(t, {}, { caDir });
  const pair = await startPair(t, mesh, join(caDir, "root-cert.pem"));
  const works = () => ask(pair.port).then((status) => status === 200);
  await publishLists(clusters);
  await until("the lists to be in force", async () => ((await listsOf(mesh))?.until ?? 0) > 0);
  await until("Envoy to have them", () => hasLists(pair));
  assert.ok(await works());
  await publishShortLists(clusters, 10_000);
  await until("their end", async () => !(await works()));
  await publishShortLists(clusters, 86_400_000);
  await until("the pair to speak again", works);
});

function ask(port: number): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    get({ port, host: "127.0.0.1", agent: false }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    }).on("error", reject);
  });
}

test("a peer whose intermediate is revoked is refused by Envoy and by the control plane, and nobody else is", {
  skip,
}, async (t) => {
  const clusters = await makeClusters(t);
  const { out, caDir, stranger } = clusters;
  const mesh = await testControlPlane(t, {}, { caDir });
  const pair = await startPair(t, mesh, join(caDir, "root-cert.pem"));
  const inbound = await pair.server.listenerPort("main");
  const load = startLoad(t, pair.port, 50);
  assert.equal(await statusFor(inbound, stranger), 200, "one root vouches for both clusters");
  assert.equal(await renewalStatus(mesh, stranger), 200);
  assert.equal(await listsOf(mesh), null);

  await t.test("lists in which it is not, change nothing for it", async () => {
    await publishLists(clusters);
    await until("the lists to be in force", async () => ((await listsOf(mesh))?.until ?? 0) > Date.now());
    await until("Envoy to have them", () => hasLists(pair));
    assert.equal(await statusFor(inbound, stranger), 200);
    assert.equal(await renewalStatus(mesh, stranger), 200);
  });

  await t.test("the root's list takes the intermediate back", async () => {
    await publishLists(clusters, `REVOKED=${out}/two/ca-cert.pem`);
    await until("Envoy to refuse it", async () => (await statusFor(inbound, stranger)) === null);
    await until("the control plane to refuse it", async () => (await renewalStatus(mesh, stranger)) === 401);
    assert.equal(await usableMetric(mesh), "1");
  });

  for (const [title, break_, says] of [
    ["rubbish", () => writeFile(join(caDir, "ca-crl.pem"), "rubbish"), /ca-crl\.pem holds no revocation list in PEM$/],
    [
      "lists without that of its own authority",
      async () => {
        await certs("list", `OUT=${out}`);
        await rm(join(out, "one/crl.pem"));
        await certs("lists", `OUT=${out}`, "CLUSTER=one");
      },
      /ca-crl\.pem has no list of O=cluster\.local, CN=Intermediate one \(serial [0-9A-F]+\), and every authority of a chain needs one$/,
    ],
  ] as const) {
    await t.test(`with ${title} in their place, the last good ones stay in force`, async () => {
      await break_();
      await until("the problem to be told", async () => says.test((await listsOf(mesh))?.problem ?? ""));
      await until("the metric to say so", async () => (await usableMetric(mesh)) === "0");
      assert.equal(await statusFor(inbound, stranger), null);
    });
  }

  await t.test("once the lists are gone, the root's word counts again", async () => {
    await rm(join(caDir, "ca-crl.pem"));
    await until("Envoy to take it", async () => (await statusFor(inbound, stranger)) === 200);
    assert.equal(await listsOf(mesh), null);
  });
  const { failures, requests } = await load.stop();
  assert.deepEqual(failures, []);
  assert.ok(requests > 50);
});

/** A listener that answers 200 to every peer that the validation context takes. */
function judgedBy(server: CallerIdentity, validationContext: JsonObject): JsonObject {
  const inline = (text: string) => ({ inline_string: text });
  const manager = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: "judge",
    route_config: {
      virtual_hosts: [
        { name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, direct_response: { status: 200 } }] },
      ],
    },
    http_filters: [
      {
        name: "router",
        typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
      },
    ],
  };
  const tls = {
    "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
    require_client_certificate: true,
    common_tls_context: {
      tls_certificates: [{ certificate_chain: inline(server.chainPem), private_key: inline(server.keyPem) }],
      validation_context: validationContext,
    },
  };
  return {
    static_resources: {
      listeners: [
        {
          name: "main",
          address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
          filter_chains: [
            {
              filters: [{ name: "http", typed_config: manager }],
              transport_socket: { name: "tls", typed_config: tls },
            },
          ],
        },
      ],
    },
  };
}

test("Envoy's SPIFFE validator ignores lists, which is why a federated mesh is told that it has none", {
  skip,
}, async (t) => {
  const clusters = await makeClusters(t);
  const { out, caDir, stranger } = clusters;
  await publishLists(clusters, `REVOKED=${out}/two/ca-cert.pem`);
  const lists = { inline_string: await readFile(join(caDir, "ca-crl.pem"), "utf8") };
  const roots = { inline_string: stranger.rootPem };
  const validator = {
    name: "envoy.tls.cert_validator.spiffe",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig",
      trust_domains: [{ name: trustDomain, trust_bundle: roots }],
    },
  };
  const statusUnder = async (validationContext: JsonObject) => {
    const envoy = await startEnvoy(t, judgedBy(stranger, validationContext));
    return statusFor(await envoy.listenerPort("main"), stranger);
  };
  assert.equal(await statusUnder({ trusted_ca: roots }), 200);
  assert.equal(await statusUnder({ trusted_ca: roots, crl: lists }), null);
  assert.equal(await statusUnder({ custom_validator_config: validator, crl: lists }), 200);
});

test("a mesh that is federated is told that its proxies use no lists", { skip }, async (t) => {
  const clusters = await makeClusters(t);
  await publishLists(clusters);
  const other = await temporaryAuthority(t, systemClock, "west.example");
  const authorities = [{ trustDomains: ["west.example"], pem: other.trustBundlePem }];
  const files = { "mesh.yaml": meshConfig(JSON.stringify({ caCertificates: authorities })) };
  const mesh = await testControlPlane(t, files, { caDir: clusters.caDir });
  const lists = await until("the lists to be in force", () => listsOf(mesh));
  assert.match(lists.problem ?? "", /^proxies read none, because the mesh is federated/);
  await until("the metric to say so", async () => (await usableMetric(mesh)) === "0");
});
