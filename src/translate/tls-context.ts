import { create } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import { ApiVersion, type ConfigSource, ConfigSourceSchema } from "../gen/envoy/config/core/v3/config_source_pb.ts";
import type { SubjectAltNameMatcher } from "../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts";
import {
  SubjectAltNameMatcher_SanType,
  SubjectAltNameMatcherSchema,
  TlsParameters_TlsProtocol,
} from "../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts";
import {
  type CommonTlsContext,
  CommonTlsContextSchema,
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
} from "../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts";
import { durationOfMs, typedConfig } from "./typed-config.ts";

/** Over the stream that everything else comes by; a proxy rather waits than starts without. */
export const adsSource: ConfigSource = create(ConfigSourceSchema, {
  configSourceSpecifier: { case: "ads", value: {} },
  resourceApiVersion: ApiVersion.V3,
  initialFetchTimeout: durationOfMs(0),
});

/** Who the peer may be: these SPIFFE ids, or anyone below one of the prefixes. */
export type ExpectedPeers = { readonly ids: readonly string[] } | { readonly prefixes: readonly string[] };

/** The workload's own certificate and the mesh's roots, both by SDS; never without checking the peer. */
function mutualTls(peers: ExpectedPeers, alpnProtocols: string[]): CommonTlsContext {
  return create(CommonTlsContextSchema, {
    tlsParams: { tlsMinimumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_2 },
    alpnProtocols,
    tlsCertificateSdsSecretConfigs: [{ name: "default", sdsConfig: adsSource }],
    validationContextType: {
      case: "combinedValidationContext",
      value: {
        defaultValidationContext: { matchTypedSubjectAltNames: sanMatchers(peers) },
        validationContextSdsSecretConfig: { name: "ROOTCA", sdsConfig: adsSource },
      },
    },
  });
}

function sanMatchers(peers: ExpectedPeers): SubjectAltNameMatcher[] {
  const patterns =
    "prefixes" in peers
      ? peers.prefixes.map((value) => ({ case: "prefix" as const, value }))
      : peers.ids.map((id) => ({ case: "exact" as const, value: id }));
  return patterns.map((matchPattern) =>
    create(SubjectAltNameMatcherSchema, { sanType: SubjectAltNameMatcher_SanType.URI, matcher: { matchPattern } }),
  );
}

export function upstreamMutualTls(sni: string, peers: ExpectedPeers, alpnProtocols: string[]): Any {
  return typedConfig(UpstreamTlsContextSchema, { commonTlsContext: mutualTls(peers, alpnProtocols), sni });
}

export function downstreamMutualTls(trustDomains: readonly string[], alpnProtocols: string[]): Any {
  return typedConfig(DownstreamTlsContextSchema, {
    commonTlsContext: mutualTls({ prefixes: trustDomains.map((domain) => `spiffe://${domain}/`) }, alpnProtocols),
    requireClientCertificate: true,
  });
}
