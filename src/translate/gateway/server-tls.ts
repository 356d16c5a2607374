import { create } from "@bufbuild/protobuf";
import { type TransportSocket, TransportSocketSchema } from "../../gen/envoy/config/core/v3/base_pb.ts";
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
  DownstreamTlsContextSchema,
} from "../../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts";
import {
  type CertificateFiles,
  certificateFiles,
  certificateFilesName,
  trustFiles,
  trustFilesName,
} from "../../mesh/certificate-files.ts";
import { CIPHER_SUITES } from "../../mesh/check-gateway.ts";
import type { ServerTlsSettings, TlsVersion } from "../../mesh/istio/gateway.ts";
import { secretConfig, unhurriedSecret } from "../cluster/client-tls.ts";
import { adsSource } from "../tls-context.ts";
import { typedConfig } from "../typed-config.ts";

/** How a server ends its callers' TLS; null where it passes it on. `carriesHttp` lets callers agree on HTTP/2. */
export function serverTls(
  tls: ServerTlsSettings,
  carriesHttp: boolean,
  trustDomains: readonly string[],
): TransportSocket | null {
  const { mode = "PASSTHROUGH" } = tls;
  if (mode === "PASSTHROUGH" || mode === "AUTO_PASSTHROUGH") return null;
  const commonTlsContext = create(CommonTlsContextSchema, {
    tlsParams: {
      tlsMinimumProtocolVersion: VERSIONS[tls.minProtocolVersion ?? "TLS_AUTO"] || TlsParameters_TlsProtocol.TLSv1_2,
      tlsMaximumProtocolVersion: VERSIONS[tls.maxProtocolVersion ?? "TLS_AUTO"],
      cipherSuites: (tls.cipherSuites ?? []).filter((suite) => CIPHER_SUITES.has(suite)),
    },
    ...(carriesHttp ? { alpnProtocols: ["h2", "http/1.1"] } : {}),
    ...(mode === "ISTIO_MUTUAL" ? meshCertificate : ownCertificate(tls)),
    validationContextType: validation(tls, trustDomains),
  });
  return create(TransportSocketSchema, {
    name: "envoy.transport_sockets.tls",
    configType: {
      case: "typedConfig",
      value: typedConfig(DownstreamTlsContextSchema, {
        commonTlsContext,
        requireClientCertificate: mode === "MUTUAL" || mode === "ISTIO_MUTUAL",
      }),
    },
  });
}

const VERSIONS: Readonly<Record<TlsVersion, TlsParameters_TlsProtocol>> = {
  TLS_AUTO: TlsParameters_TlsProtocol.TLS_AUTO,
  TLSV1_0: TlsParameters_TlsProtocol.TLSv1_0,
  TLSV1_1: TlsParameters_TlsProtocol.TLSv1_1,
  TLSV1_2: TlsParameters_TlsProtocol.TLSv1_2,
  TLSV1_3: TlsParameters_TlsProtocol.TLSv1_3,
};

const meshCertificate = { tlsCertificateSdsSecretConfigs: [{ name: "default", sdsConfig: adsSource }] };

/** Of several certificates, each caller is shown one of a kind that it can verify. */
function ownCertificate(tls: ServerTlsSettings) {
  const { credentialName = "", credentialNames = [] } = tls;
  const names = [credentialName, ...credentialNames].filter((name) => name !== "");
  const files = certificateFiles(tls);
  const secrets = names.length > 0 || files === null ? names.map((name) => secretConfig(name)) : [fileSecret(files)];
  return { tlsCertificateSdsSecretConfigs: secrets };
}

function fileSecret(files: CertificateFiles) {
  return unhurriedSecret(certificateFilesName(files));
}

/** Whose certificates are taken, where callers are asked for one. */
function validation(
  tls: ServerTlsSettings,
  trustDomains: readonly string[],
): CommonTlsContext["validationContextType"] {
  const { mode, credentialName = "", credentialNames = [], caCertCredentialName = "" } = tls;
  if (mode === "SIMPLE") return { case: undefined };
  const name = caCertCredentialName || credentialName || credentialNames[0] || "";
  const files = trustFiles(tls);
  const whom = () => {
    if (mode === "ISTIO_MUTUAL") return { name: "ROOTCA", sdsConfig: adsSource };
    return files === null ? secretConfig(name, caSuffix(name)) : unhurriedSecret(trustFilesName(files));
  };
  return {
    case: "combinedValidationContext",
    value: create(CommonTlsContext_CombinedCertificateValidationContextSchema, {
      defaultValidationContext: asksOf(tls, trustDomains),
      validationContextSdsSecretConfig: whom(),
    }),
  };
}

/** A Secret of that name holds whom to trust and nothing else. */
function caSuffix(name: string): string {
  return name.endsWith("-cacert") ? "" : "-cacert";
}

function asksOf(tls: ServerTlsSettings, trustDomains: readonly string[]): CertificateValidationContext {
  const { DNS, URI } = SubjectAltNameMatcher_SanType;
  const names = (tls.subjectAltNames ?? []).map((name) => ({
    sanType: name.includes("://") ? URI : DNS,
    matcher: { matchPattern: { case: "exact" as const, value: name } },
  }));
  const members = trustDomains.map((domain) => ({
    sanType: URI,
    matcher: { matchPattern: { case: "prefix" as const, value: `spiffe://${domain}/` } },
  }));
  return create(CertificateValidationContextSchema, {
    matchTypedSubjectAltNames: names.length === 0 && tls.mode === "ISTIO_MUTUAL" ? members : names,
    verifyCertificateHash: [...(tls.verifyCertificateHash ?? [])],
    verifyCertificateSpki: [...(tls.verifyCertificateSpki ?? [])],
  });
}
