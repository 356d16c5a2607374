import type { ClusterJson } from "../gen/envoy/config/cluster/v3/cluster_pb.ts";
import type { SubjectAltNameMatcherJson } from "../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts";
import type { SdsSecretConfigJson } from "../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import type {
  CommonTlsContextJson,
  UpstreamTlsContextSchema,
} from "../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts";
import { TrysailError } from "../platform/errors.ts";
import { socketAddress } from "./address.ts";
import type { BootstrapConfig } from "./bootstrap-config.ts";
import { httpProtocolOptions } from "./http-protocol-options.ts";
import { packed } from "./packed.ts";

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
export function remoteServiceCluster({ name, address, field, tls, isGrpc }: RemoteServiceInput): ClusterJson {
  const { host, port } = parseHostAndPort(address, field);
  return {
    name,
    type: "STRICT_DNS",
    connectTimeout: "1s",
    respectDnsTtl: true,
    loadAssignment: {
      clusterName: name,
      endpoints: [{ lbEndpoints: [{ endpoint: { address: socketAddress(host, port) } }] }],
    },
    ...(isGrpc ? { typedExtensionProtocolOptions: http2 } : {}),
    ...(tls?.mode === undefined || tls.mode === "DISABLE" ? {} : { transportSocket: transportSocket(tls, host) }),
  };
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

const http2 = httpProtocolOptions({ explicitHttpConfig: { http2ProtocolOptions: {} } });

function transportSocket(tls: TlsSettings, host: string) {
  const typedConfig = packed<typeof UpstreamTlsContextSchema>(
    "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
    { sni: tls.sni ?? host, commonTlsContext: tlsContext(tls) },
  );
  return { name: "envoy.transport_sockets.tls", typedConfig };
}

function tlsContext(tls: TlsSettings): CommonTlsContextJson {
  const matchTypedSubjectAltNames = (tls.subjectAltNames ?? []).flatMap((exact): SubjectAltNameMatcherJson[] => [
    { sanType: "DNS", matcher: { exact } },
    { sanType: "URI", matcher: { exact } },
  ]);
  if (tls.mode === "ISTIO_MUTUAL") {
    return {
      tlsCertificateSdsSecretConfigs: [overAds("default")],
      combinedValidationContext: {
        defaultValidationContext: { matchTypedSubjectAltNames },
        validationContextSdsSecretConfig: overAds("ROOTCA"),
      },
    };
  }
  const { clientCertificate = "", privateKey = "", caCertificates = SYSTEM_BUNDLE } = tls;
  return {
    ...(tls.mode === "MUTUAL"
      ? {
          tlsCertificates: [
            { certificateChain: { filename: clientCertificate }, privateKey: { filename: privateKey } },
          ],
        }
      : {}),
    ...(tls.insecureSkipVerify
      ? {}
      : { validationContext: { trustedCa: { filename: caCertificates }, matchTypedSubjectAltNames } }),
  };
}

/** What the image trusts, where no bundle is named. */
const SYSTEM_BUNDLE = "/etc/ssl/certs/ca-certificates.crt";

function overAds(name: string): SdsSecretConfigJson {
  return { name, sdsConfig: { ads: {}, resourceApiVersion: "V3" } };
}
