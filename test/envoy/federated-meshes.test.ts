import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { JsonObject } from "@bufbuild/protobuf";
import { loadTokenIssuer, type TokenIssuer } from "../../src/ca/jwt/token-issuer.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { openStateDir } from "../../src/platform/state-dir.ts";
import { envoyMissing } from "../support/envoy.ts";
import { startEnvoyInPod } from "../support/envoy-in-pod.ts";
import { adsOver } from "../support/joined-envoy.ts";
import { meshConfig } from "../support/manifests.ts";
import { createTestNetwork, netnsMissing, type TestHost } from "../support/netns.ts";
import { openssl } from "../support/openssl.ts";
import { temporaryPath } from "../support/state.ts";
import { until } from "../support/until.ts";

/** Two whole meshes on two machines, of which one learns the other's roots from its SPIFFE bundle endpoint. */

const skip = netnsMissing() || envoyMissing();
const PROGRAM = fileURLToPath(new URL("../../src/cli/trysail.ts", import.meta.url));
const V3 = "type.googleapis.com/envoy.extensions";

interface Mesh {
  /** The folder that it serves. */
  readonly dir: string;
  readonly rootPath: string;
  readonly issuer: TokenIssuer;
}

/** `trysail serve` on a host, at its usual ports; of HTTPS it knows those roots that the variable adds to the public web's. */
async function serve(t: TestContext, host: TestHost, trustDomain: string, webRoots = ""): Promise<Mesh> {
  const [dir, stateDir] = [await temporaryPath(t, "manifests"), await temporaryPath(t, "state")];
  await mkdir(dir);
  const flags = [`--config-dir=${dir}`, `--state-dir=${stateDir}`, `--serving-name=${host.ipv4}`];
  const child = host.start(process.execPath, [PROGRAM, "serve", ...flags, `--trust-domain=${trustDomain}`], {
    env: { PATH: process.env.PATH, NODE_EXTRA_CA_CERTS: webRoots },
  });
  let log = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    log += text;
  });
  const ready = () => host.run("curl", ["-sf", "http://127.0.0.1:8080/ready"]);
  await until(`${trustDomain} to be ready`, ready, { timeoutMs: 60_000 }).catch((error: unknown) =>
    assert.fail(`${String(error)}\n${log}`),
  );
  const issuer = await loadTokenIssuer({ state: await openStateDir(stateDir), clock: systemClock });
  return { dir, rootPath: join(stateDir, "ca/root-cert.pem"), issuer };
}

/** A key, and a certificate of it that the mesh on this host gives a workload by request. */
async function certified(t: TestContext, host: TestHost, mesh: Mesh): Promise<readonly string[]> {
  const [key, csr, chain] = [
    await temporaryPath(t, "key.pem"),
    await temporaryPath(t, "csr.pem"),
    await temporaryPath(t, "chain.pem"),
  ];
  const made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-subj", "/"];
  await openssl("req", "-new", ...made, "-out", csr);
  const token = await mesh.issuer.issue({ namespace: "shop", serviceAccount: "cart", ttlMs: 3_600_000 });
  const url = "https://localhost:15017/v1/certificates";
  const proof = ["--cacert", mesh.rootPath, "-H", `Authorization: Bearer ${token}`];
  await host.run("curl", ["-sSf", ...proof, "--data-binary", `@${csr}`, "-o", chain, url]);
  return ["--cert", chain, "--key", key];
}

/** Answers whoever has a certificate that the mesh's trust bundle vouches for. */
function takesPeers(address: string): JsonObject {
  const sds = (name: string) => ({ name, sds_config: { ads: {}, resource_api_version: "V3" } });
  const tls = {
    "@type": `${V3}.transport_sockets.tls.v3.DownstreamTlsContext`,
    require_client_certificate: true,
    common_tls_context: {
      tls_certificate_sds_secret_configs: [sds("default")],
      validation_context_sds_secret_config: sds("ROOTCA"),
    },
  };
  const welcome = { match: { prefix: "/" }, direct_response: { status: 200, body: { inline_string: "welcome" } } };
  const router = `${V3}.filters.http.router.v3.Router`;
  const http = {
    "@type": `${V3}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: "peers",
    route_config: { virtual_hosts: [{ name: "all", domains: ["*"], routes: [welcome] }] },
    http_filters: [{ name: "router", typed_config: { "@type": router } }],
  };
  return {
    name: "peers",
    address: { socket_address: { address, port_value: 9443 } },
    filter_chains: [
      {
        filters: [{ name: "http", typed_config: http }],
        transport_socket: { name: "tls", typed_config: tls },
      },
    ],
  };
}

test("a mesh learns another one's roots from its bundle endpoint, and its proxies take the workloads of both", {
  skip,
  timeout: 170_000,
}, async (t) => {
  const { machine, pod } = await createTestNetwork(t);
  const west = await serve(t, machine, "west.example");
  const east = await serve(t, pod, "east.example", west.rootPath);
  const googleGrpc = await adsOver(t, east, {
    target: "127.0.0.1:15012",
    rootPem: await readFile(east.rootPath, "utf8"),
  });
  const node = { id: `sidecar~${pod.ipv4}~web.shop~shop.svc.cluster.local`, cluster: "web" };
  const ads = { api_type: "DELTA_GRPC", transport_api_version: "V3", grpc_services: [{ google_grpc: googleGrpc }] };
  const bootstrap = {
    node: { ...node, metadata: { NAMESPACE: "shop", SERVICE_ACCOUNT: "web" } },
    dynamic_resources: { ads_config: { ...ads, set_node_on_first_message_only: true } },
    static_resources: { listeners: [takesPeers(pod.ipv4)] },
  };
  // It reads its token in a folder of this process.
  await startEnvoyInPod(t, pod, bootstrap, { asRoot: true });
  const call = (from: TestHost, certificate: readonly string[]) =>
    from.run("curl", ["-sSk", "-m", "10", ...certificate, `https://${pod.ipv4}:9443/`]);
  const [own, foreign] = [await certified(t, pod, east), await certified(t, machine, west)];

  await until("its own workload to be taken", async () => (await call(pod, own)) === "welcome");
  await assert.rejects(call(machine, foreign), /curl: /, "nobody vouches for the other one's");

  const spiffeBundleUrl = `https://${machine.ipv4}:15017/v1/trust-bundle?format=spiffe`;
  const caCertificates = [{ trustDomains: ["west.example"], spiffeBundleUrl }];
  await writeFile(join(east.dir, "mesh-config.yaml"), meshConfig(JSON.stringify({ caCertificates })));
  await until("the other one's to be taken", async () => (await call(machine, foreign)) === "welcome");
  assert.equal(await call(pod, own), "welcome");
});
