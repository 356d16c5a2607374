import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { type DataSource, DataSourceSchema } from "../gen/envoy/config/core/v3/base_pb.ts";
import {
  type CertificateValidationContext,
  CertificateValidationContextSchema,
} from "../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts";
import { type Secret, SecretSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import { SPIFFECertValidatorConfigSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config_pb.ts";
import type { SecretBytes } from "../platform/secret-bytes.ts";
import type { TrustBundle } from "../platform/trust-bundle.ts";
import { type EncodedResource, encodedResource } from "../xds/resource-set.ts";

/** The names under which Envoy asks for its own certificate, and for the roots it trusts; the same as Istio's. */
export const SECRET_NAME = { certificate: "default", trustBundle: "ROOTCA" } as const;

/** Key and chain for Envoy to present. The bytes hold the private key: they go to its proxy and nowhere else. */
export function buildCertificateSecret(input: { chainPem: string; keyPem: SecretBytes }): EncodedResource {
  return encode(
    create(SecretSchema, {
      name: SECRET_NAME.certificate,
      type: {
        case: "tlsCertificate",
        value: { certificateChain: inline(Buffer.from(input.chainPem)), privateKey: inline(input.keyPem.reveal()) },
      },
    }),
  );
}

/** Whom the mesh knows beside itself. */
export interface Federation {
  /** The names of the mesh's own trust domain, for which its own roots speak. */
  readonly ownDomains: readonly string[];
  /** PEM of the roots of each foreign trust domain, sorted by domain. */
  readonly foreign: ReadonlyMap<string, string>;
}

/**
 * The roots a peer's chain must end at. Which names the peer may have is for each TLS context to say. In a mesh that is
 * federated each trust domain has roots of its own, and a root vouches for no domain but its own; then no revocation
 * lists are sent, since Envoy's SPIFFE validator would not read them.
 */
export function buildTrustBundleSecret(
  { rootsPem, revocationListsPem }: TrustBundle,
  federation: Federation | null = null,
): EncodedResource {
  const value =
    federation === null
      ? create(CertificateValidationContextSchema, {
          trustedCa: inline(Buffer.from(rootsPem)),
          ...(revocationListsPem !== "" && { crl: inline(Buffer.from(revocationListsPem)) }),
        })
      : byTrustDomain(rootsPem, federation);
  return encode(create(SecretSchema, { name: SECRET_NAME.trustBundle, type: { case: "validationContext", value } }));
}

function byTrustDomain(trustBundlePem: string, { ownDomains, foreign }: Federation): CertificateValidationContext {
  const bundles = new Map([...foreign, ...ownDomains.map((domain) => [domain, trustBundlePem] as const)]);
  const trustDomains = [...bundles].map(([name, pem]) => ({ name, trustBundle: inline(Buffer.from(pem)) }));
  return create(CertificateValidationContextSchema, {
    customValidatorConfig: {
      name: "envoy.tls.cert_validator.spiffe",
      typedConfig: anyPack(SPIFFECertValidatorConfigSchema, create(SPIFFECertValidatorConfigSchema, { trustDomains })),
    },
  });
}

function inline(bytes: Uint8Array): DataSource {
  return create(DataSourceSchema, { specifier: { case: "inlineBytes", value: bytes } });
}

function encode(secret: Secret): EncodedResource {
  return encodedResource(secret.name, toBinary(SecretSchema, secret));
}
