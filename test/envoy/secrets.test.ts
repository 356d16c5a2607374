import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { type TestContext, test } from "node:test";
import { fromBinary, type JsonObject, type JsonValue, toJson } from "@bufbuild/protobuf";
import { issue } from "../../src/ca/issue.ts";
import { SecretSchema } from "../../src/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { SecretBytes } from "../../src/platform/secret-bytes.ts";
import { buildCertificateSecret, buildTrustBundleSecret } from "../../src/sds/secret-resource.ts";
import type { EncodedResource } from "../../src/xds/resource-set.ts";
import { temporaryAuthority } from "../support/authority.ts";
import { envoyMissing, validateConfig } from "../support/envoy.ts";

const HOUR_MS = 60 * 60 * 1000;
const TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
const TCP_PROXY = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";

const secretJson = (resource: EncodedResource): JsonValue =>
  toJson(SecretSchema, fromBinary(SecretSchema, resource.bytes));

/** A listener that presents the first secret and trusts the second. */
function mutualTlsBootstrap(secrets: readonly EncodedResource[]): JsonObject {
  const [certificate, trustBundle] = secrets;
  return {
    static_resources: {
      secrets: secrets.map(secretJson),
      listeners: [
        {
          name: "mtls",
          address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
          filter_chains: [
            {
              filters: [{ name: "tcp", typed_config: { "@type": TCP_PROXY, stat_prefix: "x", cluster: "none" } }],
              transport_socket: {
                name: "tls",
                typed_config: {
                  "@type": TLS,
                  require_client_certificate: true,
                  common_tls_context: {
                    tls_certificate_sds_secret_configs: [{ name: certificate?.name ?? "" }],
                    validation_context_sds_secret_config: { name: trustBundle?.name ?? "" },
                  },
                },
              },
            },
          ],
        },
      ],
      clusters: [{ name: "none", type: "STATIC" }],
    },
  };
}

async function issuedSecrets(t: TestContext, key: "own" | "foreign"): Promise<EncodedResource[]> {
  const { signer, trustBundlePem } = await temporaryAuthority(t, systemClock);
  const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const foreign = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const { chainPem } = await issue(
    { signer, clock: systemClock, maxTtlMs: HOUR_MS },
    {
      identity: { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "cart" },
      publicKey: keys.publicKey.export({ type: "spki", format: "der" }),
      ttlMs: HOUR_MS,
    },
  );
  const { privateKey } = key === "own" ? keys : foreign;
  const keyPem = new SecretBytes(Buffer.from(privateKey.export({ type: "pkcs8", format: "pem" })));
  const trustBundle = { rootsPem: trustBundlePem, revocationListsPem: "" };
  return [buildCertificateSecret({ chainPem, keyPem }), buildTrustBundleSecret(trustBundle)];
}

const skip = envoyMissing();

test("a real Envoy loads the certificate, the key and the roots that SDS would send it", { skip }, async (t) => {
  assert.equal(await validateConfig(mutualTlsBootstrap(await issuedSecrets(t, "own"))), null);
});

test("a real Envoy refuses a certificate whose key is another's, so the test above says something", {
  skip,
}, async (t) => {
  const refusal = await validateConfig(mutualTlsBootstrap(await issuedSecrets(t, "foreign")));
  assert.match(refusal ?? "", /private key|KEY_VALUES_MISMATCH/i);
});
