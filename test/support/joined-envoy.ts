import { writeFile } from "node:fs/promises";
import type { JsonObject } from "@bufbuild/protobuf";
import type { TokenIssuer } from "../../src/ca/jwt/token-issuer.ts";
import type { Cleanup } from "./cleanup.ts";
import { type RunningEnvoy, startEnvoy } from "./envoy.ts";
import { temporaryPath } from "./state.ts";

export interface JoinedProxy {
  readonly pod: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** A `router` stands alone. */
  readonly type?: "router";
  /** Its only one; where there is none here, it has those that it is sent. */
  readonly listener?: JsonObject;
  /** By which it knows the control plane. */
  readonly rootPem: string;
}

/**
 * A real Envoy that joins a control plane as a pod of namespace `shop` and account `web` does, over TLS and with a token, for
 * its clusters, their endpoints and secrets. In place of a sidecar's listeners it may have one of its own, so that it needs
 * no network of its own.
 */
export async function startJoinedEnvoy(
  t: Cleanup,
  mesh: { readonly issuer: TokenIssuer; readonly ports: { readonly grpc: number } },
  { pod, labels = {}, type, listener, rootPem }: JoinedProxy,
): Promise<RunningEnvoy> {
  const googleGrpc = await adsOver(t, mesh, { target: `127.0.0.1:${mesh.ports.grpc}`, rootPem });
  return startEnvoy(t, {
    node: {
      id: `${type ?? "sidecar"}~127.0.0.1~${pod}.shop~shop.svc.cluster.local`,
      cluster: "web",
      metadata: { NAMESPACE: "shop", SERVICE_ACCOUNT: "web", LABELS: labels },
    },
    dynamic_resources: {
      ads_config: {
        api_type: "DELTA_GRPC",
        transport_api_version: "V3",
        set_node_on_first_message_only: true,
        grpc_services: [{ google_grpc: googleGrpc }],
      },
      cds_config: { ads: {}, resource_api_version: "V3" },
      ...(listener === undefined ? { lds_config: { ads: {}, resource_api_version: "V3" } } : {}),
    },
    static_resources: {
      listeners: listener === undefined ? [] : [listener],
    },
  });
}

/** How Envoy reaches a control plane as account `web` of namespace `shop`, at a `target` that leads to its TLS port. */
export async function adsOver(
  t: Cleanup,
  mesh: { readonly issuer: TokenIssuer },
  { target, rootPem }: { readonly target: string; readonly rootPem: string },
): Promise<JsonObject> {
  const account = { namespace: "shop", serviceAccount: "web" };
  const token = await mesh.issuer.issue({ ...account, audience: "istio-ca", ttlMs: 3_600_000 });
  const tokenFile = await temporaryPath(t, "token");
  await writeFile(tokenFile, token);
  const credentials = "envoy.grpc_credentials.file_based_metadata";
  return {
    target_uri: target,
    stat_prefix: "xds",
    channel_credentials: { ssl_credentials: { root_certs: { inline_string: rootPem } } },
    call_credentials: [
      {
        from_plugin: {
          name: credentials,
          typed_config: {
            "@type": "type.googleapis.com/envoy.config.grpc_credential.v3.FileBasedMetadataConfig",
            secret_data: { filename: tokenFile },
            header_key: "authorization",
            header_prefix: "Bearer ",
          },
        },
      },
    ],
    credentials_factory_name: credentials,
    // Whatever the target is called, it must be the control plane.
    channel_args: { args: { "grpc.ssl_target_name_override": { string_value: "127.0.0.1" } } },
  };
}

/** A listener `forward` on a port of loopback, from which all is sent to a cluster. */
export function forwardTo(cluster: string): JsonObject {
  const forward = {
    name: "tcp",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
      stat_prefix: "forward",
      cluster,
    },
  };
  return {
    name: "forward",
    address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
    filter_chains: [{ filters: [forward] }],
  };
}
