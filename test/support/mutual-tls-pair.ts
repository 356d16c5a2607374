import { writeFile } from "node:fs/promises";
import { Agent, createServer, request } from "node:http";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { JsonObject } from "@bufbuild/protobuf";
import type { TestControlPlane } from "./control-plane.ts";
import { type RunningEnvoy, startEnvoy } from "./envoy.ts";
import { temporaryPath } from "./state.ts";
import { until } from "./until.ts";
import { listenOn } from "./upstream.ts";

/**
 * Two real Envoys with a mutual TLS connection between them, whose certificates and trust come from the control plane
 * for workloads without a configuration stream: from its secret discovery service, with a token.
 */
export interface MutualTlsPair {
  readonly client: RunningEnvoy;
  readonly server: RunningEnvoy;
  /** Plaintext, on 127.0.0.1: through the client's Envoy, the server's Envoy, to an application. */
  readonly port: number;
}

/** `rootFile` is what the Envoys check the control plane with; read when they start, and never again. */
export async function startPair(
  t: TestContext,
  mesh: TestControlPlane,
  rootFile: string,
  protocol: SecretProtocol = "DELTA_GRPC",
): Promise<MutualTlsPair> {
  const application = createServer((_request, response) => response.end("ok"));
  const app = await listenOn(t, application, "127.0.0.1");
  const server = await startProxy(t, mesh, {
    account: "server",
    rootFile,
    protocol,
    inbound: "tls",
    upstreamPort: app,
  });
  const upstreamPort = await server.listenerPort("main");
  const client = await startProxy(t, mesh, {
    account: "client",
    rootFile,
    protocol,
    inbound: "plaintext",
    upstreamPort,
  });
  return { client, server, port: await client.listenerPort("main") };
}

/** How Envoy asks for its secrets; `GRPC` is the state-of-the-world protocol. */
export type SecretProtocol = "DELTA_GRPC" | "GRPC";

interface ProxyOptions {
  readonly account: string;
  readonly rootFile: string;
  readonly protocol: SecretProtocol;
  /** The one with TLS speaks plaintext to its application, the other TLS to its upstream. */
  readonly inbound: "tls" | "plaintext";
  readonly upstreamPort: number;
}

async function startProxy(t: TestContext, mesh: TestControlPlane, options: ProxyOptions): Promise<RunningEnvoy> {
  const tokenFile = await temporaryPath(t, "token");
  const pod = { name: `${options.account}-0`, uid: options.account };
  const workload = { namespace: "shop", serviceAccount: options.account, pod };
  await writeFile(tokenFile, await mesh.issuer.issue({ ...workload, audience: "istio-ca", ttlMs: 3_600_000 }));
  const secrets = secretSource({ ...options, address: `127.0.0.1:${mesh.ports.grpc}`, tokenFile });
  return startEnvoy(t, {
    node: {
      id: `sidecar~127.0.0.1~${pod.name}.shop~shop.svc.cluster.local`,
      cluster: options.account,
      metadata: { NAMESPACE: "shop", SERVICE_ACCOUNT: options.account },
    },
    static_resources: {
      listeners: [listener(options.inbound, commonTls(secrets))],
      clusters: [cluster(options, commonTls(secrets))],
    },
  });
}

function secretSource(
  target: Pick<ProxyOptions, "rootFile" | "protocol"> & { address: string; tokenFile: string },
): JsonObject {
  const metadata = {
    "@type": "type.googleapis.com/envoy.config.grpc_credential.v3.FileBasedMetadataConfig",
    secret_data: { filename: target.tokenFile },
    header_key: "authorization",
    header_prefix: "Bearer ",
  };
  const name = "envoy.grpc_credentials.file_based_metadata";
  const googleGrpc = {
    target_uri: target.address,
    stat_prefix: "xds",
    channel_credentials: { ssl_credentials: { root_certs: { filename: target.rootFile } } },
    call_credentials: [{ from_plugin: { name, typed_config: metadata } }],
    credentials_factory_name: name,
  };
  const api = {
    api_type: target.protocol,
    transport_api_version: "V3",
    set_node_on_first_message_only: true,
    grpc_services: [{ google_grpc: googleGrpc }],
  };
  return { api_config_source: api, resource_api_version: "V3", initial_fetch_timeout: "0s" };
}

function commonTls(secrets: JsonObject): JsonObject {
  return {
    tls_certificate_sds_secret_configs: [{ name: "default", sds_config: secrets }],
    combined_validation_context: {
      default_validation_context: {
        match_typed_subject_alt_names: [{ san_type: "URI", matcher: { prefix: "spiffe://cluster.local/ns/shop/" } }],
      },
      validation_context_sds_secret_config: { name: "ROOTCA", sds_config: secrets },
    },
  };
}

const TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3";

function listener(inbound: "tls" | "plaintext", commonTlsContext: JsonObject): JsonObject {
  const manager = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: "main",
    route_config: {
      virtual_hosts: [{ name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster: "up" } }] }],
    },
    http_filters: [
      {
        name: "router",
        typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
      },
    ],
  };
  const tls = {
    "@type": `${TLS}.DownstreamTlsContext`,
    require_client_certificate: true,
    common_tls_context: commonTlsContext,
  };
  return {
    name: "main",
    address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
    filter_chains: [
      {
        filters: [{ name: "http", typed_config: manager }],
        ...(inbound === "tls" && { transport_socket: { name: "tls", typed_config: tls } }),
      },
    ],
  };
}

function cluster({ inbound, upstreamPort }: ProxyOptions, commonTlsContext: JsonObject): JsonObject {
  const tls = { "@type": `${TLS}.UpstreamTlsContext`, common_tls_context: commonTlsContext };
  const endpoint = { address: { socket_address: { address: "127.0.0.1", port_value: upstreamPort } } };
  return {
    name: "up",
    type: "STATIC",
    // A handshake takes long where the machine is busy with something else.
    connect_timeout: "30s",
    load_assignment: { cluster_name: "up", endpoints: [{ lb_endpoints: [{ endpoint }] }] },
    // Connections are made all the time, so that at every moment some are made with what has just changed.
    ...(inbound === "plaintext" && {
      typed_extension_protocol_options: {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
          "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
          common_http_protocol_options: { max_requests_per_connection: 5 },
          explicit_http_config: { http_protocol_options: {} },
        },
      },
      transport_socket: { name: "tls", typed_config: tls },
    }),
  };
}

export interface Load {
  /** Resolves once so many requests more were begun and are answered. */
  crosses(requests: number): Promise<void>;
  /** Answers the failures and how many requests there were. */
  stop(): Promise<{ readonly failures: readonly string[]; readonly requests: number }>;
}

/** How many requests may be made up for at once where the machine was busy with something else. */
const BURST = 10;
/** Where the machine cannot keep up with the beat, requests wait for others: in the end more of them would fail by their number. */
const MOST_OPEN = 50;

/** So many requests a second to a port, on a steady beat, where the machine can. */
export function startLoad(t: TestContext, port: number, perSecond: number): Load {
  const agent = new Agent({ keepAlive: true });
  const failures: string[] = [];
  const open = new Set<Promise<void>>();
  const began = performance.now();
  let requests = 0;
  let stopped = false;
  const beat = (async () => {
    while (!stopped) {
      const due = Math.floor(((performance.now() - began) / 1000) * perSecond);
      const most = Math.min(due, requests + BURST, requests + MOST_OPEN - open.size);
      for (; requests < most; requests++) {
        const one = ask(port, agent).catch((error: unknown) => void failures.push(`${Date.now()} ${error}`));
        open.add(one);
        void one.finally(() => open.delete(one));
      }
      await sleep(5);
    }
  })();
  const stop = async () => {
    stopped = true;
    await beat;
    await Promise.all(open);
    agent.destroy();
    return { failures, requests };
  };
  t.after(stop);
  return {
    async crosses(more) {
      const enough = requests + more;
      await until(`${more} requests`, () => requests >= enough, { timeoutMs: 120_000 });
      await Promise.all(open);
    },
    stop,
  };
}

function ask(port: number, agent: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: "127.0.0.1", port, agent, timeout: 30_000 }, (answer) => {
      let body = "";
      answer.setEncoding("utf8").on("data", (text: string) => {
        body += text;
      });
      answer.on("error", reject);
      answer.on("end", () =>
        answer.statusCode === 200 ? resolve() : reject(new Error(`${answer.statusCode} ${body}`)),
      );
    });
    outgoing.on("timeout", () => outgoing.destroy(new Error("no answer in 30 s")));
    outgoing.on("error", reject);
    outgoing.end();
  });
}
