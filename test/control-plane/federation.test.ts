import assert from "node:assert/strict";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { SecretSchema } from "../../src/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import { SPIFFECertValidatorConfigSchema } from "../../src/gen/envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config_pb.ts";
import { DeltaDiscoveryRequestSchema } from "../../src/gen/envoy/service/discovery/v3/discovery_pb.ts";
import { openAds, sidecarNode, TYPE_URL } from "../support/ads-client.ts";
import { testControlPlane } from "../support/control-plane.ts";
import { meshConfig } from "../support/manifests.ts";

/** What a control plane sends proxies to trust while its MeshConfig changes. */

test("MeshConfig's caCertificates reach connected proxies by trust domain, and go with it", async (t) => {
  const west = await testControlPlane(t, {}, { trustDomain: "west.example" });
  const pem = await readFile(west.rootPath, "utf8");
  const east = await testControlPlane(t, {});
  const token = await east.issuer.issue({ namespace: "shop", serviceAccount: "cart", ttlMs: 3_600_000 });
  const ads = openAds(t, { port: east.ports.grpc, rootPath: east.rootPath }, token);
  ads.subscribe(sidecarNode("cart-1", "shop", "cart"), TYPE_URL.secret, ["ROOTCA"]);

  /** The next trust bundle: its roots where there is one for all, else those of each domain. */
  const next = async () => {
    const { resources, nonce } = await ads.response();
    const ack = create(DeltaDiscoveryRequestSchema, { typeUrl: TYPE_URL.secret, responseNonce: nonce });
    ads.sendBytes(toBinary(DeltaDiscoveryRequestSchema, ack));
    const [resource] = resources;
    assert.equal(resource?.name, "ROOTCA");
    const { type } = fromBinary(SecretSchema, resource.resource?.value ?? new Uint8Array());
    assert.equal(type.case, "validationContext");
    const { trustedCa, customValidatorConfig } = type.value;
    const text = (source: { specifier: { value?: unknown } } | undefined) =>
      source?.specifier.value instanceof Uint8Array ? Buffer.from(source.specifier.value).toString() : "";
    if (customValidatorConfig?.typedConfig === undefined) return text(trustedCa);
    const config = anyUnpack(customValidatorConfig.typedConfig, SPIFFECertValidatorConfigSchema);
    return Object.fromEntries((config?.trustDomains ?? []).map(({ name, trustBundle }) => [name, text(trustBundle)]));
  };
  const own = await readFile(east.rootPath, "utf8");
  assert.equal(await next(), own);
  const file = join(east.dir, "mesh-config.yaml");
  const entry = { trustDomains: ["west.example"], pem };
  await writeFile(file, meshConfig(JSON.stringify({ caCertificates: [entry], trustDomainAliases: ["old.example"] })));
  assert.deepEqual(await next(), { "west.example": pem, "cluster.local": own, "old.example": own });
  await rm(file);
  assert.equal(await next(), own);
});
