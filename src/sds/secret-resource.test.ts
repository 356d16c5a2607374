import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBinary, toJson } from "@bufbuild/protobuf";
import { SecretSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import { SecretBytes } from "../platform/secret-bytes.ts";
import { buildCertificateSecret, buildTrustBundleSecret } from "./secret-resource.ts";

const base64 = (text: string): string => Buffer.from(text).toString("base64");
const keyPem = new SecretBytes(Buffer.from("the key"));

test("a certificate secret carries key and chain inline, under the name that Envoy asks for", () => {
  const resource = buildCertificateSecret({ chainPem: "the chain", keyPem });
  assert.equal(resource.name, "default");
  assert.deepEqual(toJson(SecretSchema, fromBinary(SecretSchema, resource.bytes)), {
    name: "default",
    tlsCertificate: {
      certificateChain: { inlineBytes: base64("the chain") },
      privateKey: { inlineBytes: base64("the key") },
    },
  });
});

test("a trust bundle secret carries the roots inline, and no rule about names", () => {
  const resource = buildTrustBundleSecret({ rootsPem: "the roots", revocationListsPem: "" });
  assert.equal(resource.name, "ROOTCA");
  assert.deepEqual(toJson(SecretSchema, fromBinary(SecretSchema, resource.bytes)), {
    name: "ROOTCA",
    validationContext: { trustedCa: { inlineBytes: base64("the roots") } },
  });
});

test("a trust bundle secret carries revocation lists beside the roots, but none where Envoy would ignore them", () => {
  const trustBundle = { rootsPem: "the roots", revocationListsPem: "the lists" };
  const { bytes } = buildTrustBundleSecret(trustBundle);
  assert.deepEqual(toJson(SecretSchema, fromBinary(SecretSchema, bytes)), {
    name: "ROOTCA",
    validationContext: {
      trustedCa: { inlineBytes: base64("the roots") },
      crl: { inlineBytes: base64("the lists") },
    },
  });
  const federation = { ownDomains: ["cluster.local"], foreign: new Map([["west.example", "its roots"]]) };
  const federated = fromBinary(SecretSchema, buildTrustBundleSecret(trustBundle, federation).bytes);
  assert.ok(federated.type.case === "validationContext");
  assert.equal(federated.type.value.crl, undefined);
});

test("the version changes with the content and with nothing else", () => {
  const one = buildCertificateSecret({ chainPem: "the chain", keyPem });
  assert.equal(buildCertificateSecret({ chainPem: "the chain", keyPem }).version, one.version);
  assert.notEqual(buildCertificateSecret({ chainPem: "another chain", keyPem }).version, one.version);
});
