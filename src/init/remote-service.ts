import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { type Cluster, Cluster_DiscoveryType, ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.ts";
import { ApiVersion } from "../gen/envoy/config/core/v3/config_source_pb.ts";
import { SubjectAltNameMatcher_SanType } from "../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts";
import {
  type CommonTlsContextSchema,
  UpstreamTlsContextSchema,
} from "../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts";
import { HttpProtocolOptionsSchema } from "../gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts";
import { TrysailError } from "../platform/errors.ts";
import { socketAddress } from "./address.ts";
import type { BootstrapConfig } from "./bootstrap-config.ts";

export interface RemoteServiceInput {
  readonly name: string;
  /** `HOST:PORT`. */
  readonly address: string;
  /** The field of ProxyConfig, for errors. */
  readonly field: string;
  readonly tls?: TlsSettings | undefined;
  readonly isGrpc: boolean;
}

type TlsSettings = NonNullable<NonNullable<BootstrapConfig["tracing"]>["tlsSettings"]>;

/**
 * A service that the proxy itself reports to, from its start on.
 *
 * @throws TrysailError `invalid-argument` naming the field.
 */
export function remoteServiceCluster({ name, address, field, tls, isGrpc }: RemoteServiceInput): Cluster {
  const { host, port } = parseHostAndPort(address, field);
  return create(ClusterSchema, {
    name,
    clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.STRICT_DNS },
    connectTimeout: { seconds: 1n },
    respectDnsTtl: true,
    loadAssignment: {
      clusterName: name,
      endpoints: [
        { lbEndpoints: [{ hostIdentifier: { case: "endpoint", value: { address: socketAddress(host, port) } } }] },
      ],
    },
    ...(isGrpc ? { typedExtensionProtocolOptions: http2 } : {}),
    ...(tls?.mode === undefined || tls.mode === "DISABLE" ? {} : { transportSocket: transportSocket(tls, host) }),
  });
}

/** Of `HOST:PORT` or `[IPV6]:PORT`, where `$(HOST_IP)` may have left the brackets out. */
export function parseHostAndPort(address: string, field: string): { host: string; port: number } {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:\s]+|[0-9A-Fa-f:]+)):([0-9]{1,5})$/.exec(address) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  if (host === undefined || port < 1 || port > 65_535) {
    const message = `PROXY_CONFIG: field ${field} is not HOST:PORT: ${JSON.stringify(address.slice(0, 200))}`;
    throw new TrysailError("invalid-argument", message);
  }
  return { host, port };
}

const http2 = {
  "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": anyPack(
    HttpProtocolOptionsSchema,
    create(HttpProtocolOptionsSchema, {
      upstreamProtocolOptions: {
        case: "explicitHttpConfig",
        value: { protocolConfig: { case: "http2ProtocolOptions", value: {} } },
      },
    }),
  ),
};

function transportSocket(tls: TlsSettings, host: string) {
  const context = create(UpstreamTlsContextSchema, { sni: tls.sni ?? host, commonTlsContext: tlsContext(tls) });
  return {
    name: "envoy.transport_sockets.tls",
    configType: { case: "typedConfig" as const, value: anyPack(UpstreamTlsContextSchema, context) },
  };
}

function tlsContext(tls: TlsSettings): MessageInitShape<typeof CommonTlsContextSchema> {
  const matchTypedSubjectAltNames = (tls.subjectAltNames ?? []).flatMap((exact) =>
    [SubjectAltNameMatcher_SanType.DNS, SubjectAltNameMatcher_SanType.URI].map((sanType) => ({
      sanType,
      matcher: { matchPattern: { case: "exact" as const, value: exact } },
    })),
  );
  if (tls.mode === "ISTIO_MUTUAL") {
    return {
      tlsCertificateSdsSecretConfigs: [overAds("default")],
      validationContextType: {
        case: "combinedValidationContext",
        value: {
          defaultValidationContext: { matchTypedSubjectAltNames },
          validationContextSdsSecretConfig: overAds("ROOTCA"),
        },
      },
    };
  }
  return {
    ...(tls.mode === "MUTUAL"
      ? { tlsCertificates: [{ certificateChain: file(tls.clientCertificate), privateKey: file(tls.privateKey) }] }
      : {}),
    ...(tls.insecureSkipVerify
      ? {}
      : {
          validationContextType: {
            case: "validationContext",
            // What the image trusts, where no bundle is named.
            value: { trustedCa: file(tls.caCertificates ?? SYSTEM_BUNDLE), matchTypedSubjectAltNames },
          },
        }),
  };
}

const SYSTEM_BUNDLE = "/etc/ssl/certs/ca-certificates.crt";

function file(filename = "") {
  return { specifier: { case: "filename" as const, value: filename } };
}

function overAds(name: string) {
  return {
    name,
    sdsConfig: { configSourceSpecifier: { case: "ads" as const, value: {} }, resourceApiVersion: ApiVersion.V3 },
  };
}
