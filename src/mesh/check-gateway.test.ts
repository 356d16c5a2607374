import assert from "node:assert/strict";
import { test } from "node:test";
import { istio } from "../../test/support/manifests.ts";
import { trustFiles } from "./certificate-files.ts";
import { serverCredentials } from "./credentials.ts";
import { parseObject } from "./parse-object.ts";

function findingsOf(servers: unknown, selector?: object): string[] {
  const manifest = istio("Gateway", "public", { servers, ...(selector && { selector }) });
  const { findings } = parseObject(JSON.parse(manifest.slice(manifest.indexOf("{"))));
  return findings.map(({ severity, message }) => `${severity} ${message.replace("Gateway shop/public: ", "")}`);
}

function credentialsOf(change: object): string[] {
  const manifest = istio("Gateway", "public", { servers: [server(change)] });
  const { object } = parseObject(JSON.parse(manifest.slice(manifest.indexOf("{"))));
  assert.ok(object?.kind === "Gateway" && "servers" in object.spec);
  return serverCredentials(object).map(({ name }) => name);
}

const server = (change: object) => ({
  port: { number: 443, name: "https", protocol: "HTTPS" },
  hosts: ["shop.example.com"],
  tls: { mode: "SIMPLE", credentialName: "shop" },
  ...change,
});
const plain = { port: { number: 80, name: "http", protocol: "HTTP" }, tls: undefined };
const files = { serverCertificate: "/etc/certs/tls.crt", privateKey: "/etc/certs/tls.key" };

const fine: readonly [what: string, change: object][] = [
  ["HTTP", plain],
  ["a redirect", { ...plain, tls: { httpsRedirect: true } }],
  ["hosts of namespaces", { hosts: ["*", "shop/*.example.com", "./a.example.com", "*/b.example.com"] }],
  ["files", { tls: { mode: "MUTUAL", ...files, caCertificates: "/etc/certs/ca.crt" } }],
  ["the mesh's own TLS", { tls: { mode: "ISTIO_MUTUAL" } }],
  ["TLS that is passed on", { tls: {} }],
  ["an address", { bind: "10.0.0.1" }],
  ["TCP", { ...plain, port: { number: 31400, name: "tcp", protocol: "TCP" } }],
];
for (const [what, change] of fine) test(`${what} is taken`, () => assert.deepEqual(findingsOf([server(change)]), []));

const refused: readonly [what: string, change: object, message: RegExp][] = [
  ["a short host", { hosts: ["shop"] }, /^error spec\.servers\[0\]\.hosts\[0\] is shop, a short name/],
  ["a host with a port", { hosts: ["shop.test:443"] }, /hosts\[0\] must be HOST or NAMESPACE\/HOST/],
  ["a wildcard in the middle", { hosts: ["a.*.test"] }, /hosts\[0\] must be HOST/],
  ["two slashes", { hosts: ["a/b/c.test"] }, /hosts\[0\] must be HOST/],
  ["no hosts", { hosts: [] }, /hosts/],
  ["a protocol of nobody's", { port: { number: 1, protocol: "SMTP" } }, /port\.protocol is "SMTP": use HTTP/],
  ["port 0", { port: { number: 0, protocol: "HTTP" } }, /port\.number/],
  ["a name for an address", { bind: "localhost" }, /bind must be an IP address/],
  [
    "TLS on plain HTTP",
    { ...plain, tls: { mode: "SIMPLE", credentialName: "a" } },
    /tls is for protocols HTTPS and TLS/,
  ],
  ["HTTPS without TLS", { tls: undefined }, /tls is missing/],
  ["SIMPLE without a certificate", { tls: { mode: "SIMPLE" } }, /tls is SIMPLE, so it needs a credentialName/],
  ["MUTUAL without whom to trust", { tls: { mode: "MUTUAL", ...files } }, /tls is MUTUAL, so it needs caCertificates/],
  ["ISTIO_MUTUAL with a certificate", { tls: { mode: "ISTIO_MUTUAL", ...files } }, /uses the mesh's own certificates/],
  ["files and a Secret", { tls: { mode: "SIMPLE", credentialName: "a", ...files } }, /keep one of them/],
  ["both kinds of Secret names", { tls: { mode: "SIMPLE", credentialName: "a", credentialNames: ["b"] } }, /has both/],
  [
    "versions the wrong way about",
    { tls: { mode: "SIMPLE", credentialName: "a", minProtocolVersion: "TLSV1_3", maxProtocolVersion: "TLSV1_2" } },
    /minProtocolVersion is later/,
  ],
  [
    "what is no hash",
    { tls: { mode: "MUTUAL", credentialName: "a", verifyCertificateSpki: ["x"] } },
    /verifyCertificateSpki\[0\] is not the base64/,
  ],
  ["an unknown setting of TLS", { tls: { mode: "SIMPLE", credentialName: "a", verifyEverything: true } }, /not used/],
  [
    "a line break in a path",
    { tls: { mode: "SIMPLE", serverCertificate: "/a\nb", privateKey: "/c" } },
    /serverCertificate/,
  ],
];
for (const [what, change, message] of refused) {
  test(`${what} is refused`, () => {
    const [first = ""] = findingsOf([server(change)]);
    assert.match(first, /^error /);
    assert.match(first, message);
  });
}

test("a certificate that PASSTHROUGH has no use for is warned of, and asked for nowhere", () => {
  const tls = { mode: "PASSTHROUGH", credentialName: "a" };
  const [found = "", ...more] = findingsOf([server({ tls })]);
  assert.match(found, /^warning spec\.servers\[0\]\.tls has certificates, .* does not end the TLS/);
  assert.deepEqual(more, []);
  assert.deepEqual(credentialsOf({ tls }), []);
  assert.deepEqual(credentialsOf({ tls: { ...tls, mode: "SIMPLE" } }), ["a"]);
});

const idle: readonly [what: string, change: object, message: RegExp][] = [
  ["whom to trust beside a Secret", { tls: { mode: "MUTUAL", credentialName: "a", caCertificates: "/c" } }, /not used/],
  [
    "half a pair of files beside a Secret",
    { tls: { mode: "SIMPLE", credentialName: "a", privateKey: "/k" } },
    /not used/,
  ],
  ["TLS that is passed on of plain HTTP", { ...plain, tls: { mode: "PASSTHROUGH" } }, /has no effect/],
  ["a Secret for plain HTTP", { ...plain, tls: { httpsRedirect: true, credentialName: "a" } }, /has no effect/],
];
for (const [what, change, message] of idle) {
  test(`${what} is warned of, and the rest used`, () => {
    const [found = "", ...more] = findingsOf([server(change)]);
    assert.match(found, /^warning spec\.servers\[0\]\.tls /);
    assert.match(found, message);
    assert.deepEqual(more, []);
  });
}

test("a Secret says whom to trust, whatever files stand beside it", () => {
  const tls = { mode: "MUTUAL" as const, caCertificates: "/c" };
  assert.notEqual(trustFiles(tls), null);
  assert.equal(trustFiles({ ...tls, credentialName: "a" }), null);
  assert.equal(trustFiles({ ...tls, credentialNames: ["a"] }), null);
});

test("a Gateway without servers, and ports of one name, are refused", () => {
  assert.match(findingsOf([]).join(), /^error spec\.servers is empty/);
  const [found = ""] = findingsOf([server({}), server({ hosts: ["b.test"] })]);
  assert.match(found, /^error spec\.servers\[1\]\.port\.name is https, as that of spec\.servers\[0\]/);
});

test("ciphers that Envoy does not know, and a redirect of HTTPS, are warned of", () => {
  const tls = {
    mode: "SIMPLE",
    credentialName: "a",
    cipherSuites: ["RC4-MD5", "ECDHE-RSA-AES256-GCM-SHA384"],
    httpsRedirect: true,
  };
  assert.deepEqual(
    findingsOf([server({ tls })]).map((text) => text.split(" ").slice(0, 2).join(" ")),
    ["warning spec.servers[0].tls.httpsRedirect", "warning spec.servers[0].tls.cipherSuites[0]"],
  );
});
