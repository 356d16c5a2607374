import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { type TestContext, test } from "node:test";
import { followRoots } from "../../src/ca/bundle/follow-roots.ts";
import { parseSpiffeBundle } from "../../src/ca/bundle/parse-spiffe-bundle.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { der, readOne, sequence, TAG } from "../../src/platform/der.ts";
import { createLog } from "../../src/platform/log.ts";
import { temporaryAuthority } from "../support/authority.ts";
import { envoyMissing, validateConfig } from "../support/envoy.ts";
import { meshConfig } from "../support/manifests.ts";
import { meshOf } from "../support/mesh.ts";

/** Roots that others give the mesh, by OpenSSL, which reads them here, and by BoringSSL in a real Envoy. */

const skip = envoyMissing();

/** What stands in a certificate before its signature (RFC 5280, 4.1), each as DER. */
type Fields = [version: Buffer, serial: Buffer, algorithm: Buffer, issuer: Buffer, validity: Buffer, ...more: Buffer[]];

const times = (tag: number, notBefore: string, notAfter: string) =>
  sequence(der(tag, Buffer.from(notBefore)), der(tag, Buffer.from(notAfter)));
const version = (number: number) => Buffer.from([0xa0, 3, 2, 1, number]);
/** A SEQUENCE whose length is written in three octets behind the one that counts them. */
const longLength = (content: Buffer) =>
  Buffer.concat([Buffer.from([TAG.sequence, 0x83, 0, content.length >> 8, content.length & 0xff]), content]);
const indefiniteLength = (content: Buffer) =>
  Buffer.concat([Buffer.from([TAG.sequence, 0x80]), content, Buffer.from([0, 0])]);

interface Form {
  readonly title: string;
  change?(fields: Fields): void;
  around?(fields: Buffer): Buffer;
}

const forms: readonly Form[] = [
  {
    title: "a time with a fraction",
    change: (fields) => (fields[4] = times(TAG.generalizedTime, "20260101000000.5Z", "20990101000000.5Z")),
  },
  {
    title: "a day that there is not",
    change: (fields) => (fields[4] = times(TAG.utcTime, "260231000000Z", "360101000000Z")),
  },
  { title: "version 1 and extensions", change: (fields) => fields.shift() },
  { title: "version 2 and extensions", change: (fields) => (fields[0] = version(1)) },
  { title: "a version 4", change: (fields) => (fields[0] = version(3)) },
  { title: "a name with an empty part", change: (fields) => (fields[5] = sequence(der(TAG.set))) },
  { title: "a length longer than it need be", around: longLength },
  { title: "no length", around: indefiniteLength },
];

/** A root with its fields changed. Nobody looks at its signature, which a bundle's reader cannot verify in general. */
async function rootWith(t: TestContext, { change, around = sequence }: Form): Promise<X509Certificate> {
  const { rootCertificatePem } = await temporaryAuthority(t, systemClock);
  const [toBeSigned, ...rest] = readOne(new X509Certificate(rootCertificatePem).raw, TAG.sequence);
  const [first, second, third, fourth, fifth, ...more] = (toBeSigned?.elements() ?? []).map(({ raw }) => raw);
  assert.ok(first && second && third && fourth && fifth);
  const fields: Fields = [first, second, third, fourth, fifth, ...more];
  change?.(fields);
  const whole = sequence(around(Buffer.concat(fields)), ...rest.map(({ raw }) => raw));
  return new X509Certificate(whole);
}

const withCaCertificates = (pem: string) =>
  meshConfig(JSON.stringify({ caCertificates: [{ trustDomains: ["west.example"], pem }] }));
const bundleOf = (root: X509Certificate) =>
  JSON.stringify({ keys: [{ use: "x509-svid", x5c: [root.raw.toString("base64")] }] });

/** What Envoy says to roots as those of a trust domain; null where it takes them. */
function refusalByEnvoy(pem: string): Promise<string | null> {
  const v3 = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3";
  const spiffe = {
    "@type": `${v3}.SPIFFECertValidatorConfig`,
    trust_domains: [{ name: "west.example", trust_bundle: { inline_string: pem } }],
  };
  const validation_context = {
    custom_validator_config: { name: "envoy.tls.cert_validator.spiffe", typed_config: spiffe },
  };
  const typed_config = { "@type": `${v3}.UpstreamTlsContext`, common_tls_context: { validation_context } };
  const cluster = { name: "west", connect_timeout: "1s", transport_socket: { name: "tls", typed_config } };
  return validateConfig({ static_resources: { clusters: [cluster] } });
}

test("a root as others make it is taken by both", { skip }, async (t) => {
  const root = await rootWith(t, { title: "" });
  const pem = root.toString();
  assert.equal(parseSpiffeBundle(bundleOf(root), Date.now()).rootsPem, pem);
  assert.deepEqual(meshOf(withCaCertificates(pem)).config.foreignAuthorities[0]?.roots, { pem });
  assert.equal(await refusalByEnvoy(pem), null);
  assert.equal(await refusalByEnvoy(pem + pem), null, "of two authorities of one trust domain that have the same");
});

for (const form of forms) {
  test(`a root with ${form.title} would make Envoy refuse the whole trust bundle, and is never sent`, {
    skip,
  }, async (t) => {
    const root = await rootWith(t, form);
    assert.equal(root.ca, true, "OpenSSL has no objection");
    assert.match((await refusalByEnvoy(root.toString())) ?? "", /Failed to load trusted CA certificate/);
    const says = { code: "invalid-argument", message: /certificate that cannot be read/ };
    assert.throws(() => parseSpiffeBundle(bundleOf(root), Date.now()), says);
    const { config, findings } = meshOf(withCaCertificates(root.toString()));
    assert.deepEqual(config.foreignAuthorities, []);
    assert.match(findings[0]?.message ?? "", /caCertificates\[0\] has a certificate that cannot be read/);
    const read = async () => Buffer.from(root.toString());
    const following = followRoots({ name: "the file", read, clock: systemClock, log: createLog("silent") });
    await assert.rejects(following, { code: "failed-precondition", message: /^the file cannot be read/ });
  });
}
