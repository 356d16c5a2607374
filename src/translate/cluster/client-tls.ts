import { create } from "@bufbuild/protobuf";
import { type TransportSocket, TransportSocketSchema } from "../../gen/envoy/config/core/v3/base_pb.ts";
import { ProxyProtocolConfig_Version } from "../../gen/envoy/config/core/v3/proxy_protocol_pb.ts";
import { ProxyProtocolUpstreamTransportSchema } from "../../gen/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.ts";
import { RawBufferSchema } from "../../gen/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.ts";
import {
  type CertificateValidationContext,
  CertificateValidationContextSchema,
  SubjectAltNameMatcher_SanType,
  TlsParameters_TlsProtocol,
} from "../../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts";
import {
  type CommonTlsContext,
  CommonTlsContext_CombinedCertificateValidationContextSchema,
  CommonTlsContextSchema,
  UpstreamTlsContextSchema,
} from "../../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts";
import type { ClientTlsSettings } from "../../mesh/istio/traffic-policy.ts";
import type { PortPolicy } from "../../mesh/port-policy.ts";
import { adsSource } from "../tls-context.ts";
import { durationOfMs, typedConfig } from "../typed-config.ts";
import type { UpstreamHttp } from "./http-protocol-options.ts";

/** Where Envoy's images, as most distributions, keep the authorities that the system trusts. */
const SYSTEM_CA_FILE = "/etc/ssl/certs/ca-certificates.crt";

export const plaintext = create(TransportSocketSchema, {
  name: "envoy.transport_sockets.raw_buffer",
  configType: { case: "typedConfig", value: typedConfig(RawBufferSchema, {}) },
});

/** TLS of one's own: SIMPLE and MUTUAL. Whom to trust is always said, unless the user wrote not to ask. */
export function clientTls(tls: ClientTlsSettings, upstream: UpstreamHttp | null): TransportSocket {
  const commonTlsContext = create(CommonTlsContextSchema, {
    tlsParams: { tlsMinimumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_2 },
    ...(upstream === "http2" ? { alpnProtocols: ["h2"] } : {}),
    ...ownCertificate(tls),
    validationContextType: validation(tls),
  });
  return create(TransportSocketSchema, {
    name: "envoy.transport_sockets.tls",
    configType: {
      case: "typedConfig",
      value: typedConfig(UpstreamTlsContextSchema, { commonTlsContext, sni: tls.sni ?? "" }),
    },
  });
}

/**
 * Secrets by the names that Istio gives them. They are not waited for long: one that is missing must fail the calls that
 * need it, and not the start of every proxy that sees the rule.
 */
export function secretConfig(credentialName: string, suffix = "") {
  return unhurriedSecret(`kubernetes://${credentialName}${suffix}`);
}

/** A secret that may be missing or broken, under its whole name. */
export function unhurriedSecret(name: string) {
  return { name, sdsConfig: { ...adsSource, initialFetchTimeout: durationOfMs(1000) } };
}

function ownCertificate({ mode, credentialName = "", clientCertificate = "", privateKey = "" }: ClientTlsSettings) {
  if (mode !== "MUTUAL") return {};
  return credentialName === ""
    ? { tlsCertificates: [{ certificateChain: file(clientCertificate), privateKey: file(privateKey) }] }
    : { tlsCertificateSdsSecretConfigs: [secretConfig(credentialName)] };
}

function validation(tls: ClientTlsSettings): CommonTlsContext["validationContextType"] {
  if (tls.insecureSkipVerify === true) return { case: undefined };
  const { credentialName = "", caCertificates = "", caCrl = "" } = tls;
  const names = (tls.subjectAltNames ?? []).flatMap(nameMatchers);
  if (credentialName !== "") {
    return {
      case: "combinedValidationContext",
      value: create(CommonTlsContext_CombinedCertificateValidationContextSchema, {
        defaultValidationContext: { matchTypedSubjectAltNames: names },
        validationContextSdsSecretConfig: secretConfig(credentialName, "-cacert"),
      }),
    };
  }
  const value: CertificateValidationContext = create(CertificateValidationContextSchema, {
    trustedCa: file(caCertificates === "" || caCertificates === "system" ? SYSTEM_CA_FILE : caCertificates),
    ...(caCrl === "" ? {} : { crl: file(caCrl) }),
    matchTypedSubjectAltNames: names,
  });
  return { case: "validationContext", value };
}

function file(filename: string) {
  return { specifier: { case: "filename" as const, value: filename } };
}

/** A name may stand in a certificate in any of these ways; each matcher is another that would do. */
function nameMatchers(name: string) {
  const { URI, DNS } = SubjectAltNameMatcher_SanType;
  const sanTypes = name.includes("://") ? [URI] : [DNS, SubjectAltNameMatcher_SanType.IP_ADDRESS];
  return sanTypes.map((sanType) => ({ sanType, matcher: { matchPattern: { case: "exact" as const, value: name } } }));
}

/** Tells the upstream, before anything else, who the caller is. */
export function withProxyProtocol(
  socket: TransportSocket,
  proxyProtocol: PortPolicy["proxyProtocol"],
): TransportSocket {
  if (proxyProtocol === undefined) return socket;
  const { V1, V2 } = ProxyProtocolConfig_Version;
  return create(TransportSocketSchema, {
    name: "envoy.transport_sockets.upstream_proxy_protocol",
    configType: {
      case: "typedConfig",
      value: typedConfig(ProxyProtocolUpstreamTransportSchema, {
        config: { version: proxyProtocol.version === "V2" ? V2 : V1 },
        transportSocket: socket,
      }),
    },
  });
}
