import { create, toBinary } from "@bufbuild/protobuf";
import { type DataSource, DataSourceSchema } from "../gen/envoy/config/core/v3/base_pb.ts";
import { type Secret, SecretSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import type { SecretBytes } from "../platform/secret-bytes.ts";
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

/** The roots a peer's chain must end at. Which names the peer may have is for each TLS context to say. */
export function buildTrustBundleSecret(trustBundlePem: string): EncodedResource {
  return encode(
    create(SecretSchema, {
      name: SECRET_NAME.trustBundle,
      type: { case: "validationContext", value: { trustedCa: inline(Buffer.from(trustBundlePem)) } },
    }),
  );
}

function inline(bytes: Uint8Array): DataSource {
  return create(DataSourceSchema, { specifier: { case: "inlineBytes", value: bytes } });
}

function encode(secret: Secret): EncodedResource {
  return encodedResource(secret.name, toBinary(SecretSchema, secret));
}
