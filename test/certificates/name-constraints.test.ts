import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { type TestContext, test } from "node:test";
import { createAuthoritySource } from "../../src/ca/authority/authority-source.ts";
import { verifyExternal } from "../../src/ca/verify-external.ts";
import { certificatesOf } from "../../src/ca/x509/pem-certificates.ts";
import { messageOf } from "../../src/platform/errors.ts";
import { openssl } from "../support/openssl.ts";
import { temporaryPath } from "../support/state.ts";
import { certificateCheckMissing, goHandshake } from "./certificate-check.ts";

/**
 * Whether a plugged-in authority may vouch for what the mesh has signed, as we say and as OpenSSL and Go do: what both of
 * them verify is taken, and what one of them refuses is not.
 */

const skip = certificateCheckMissing();
const trustDomain = "cluster.local";
const servingHosts = ["trysail.trysail-system.svc", "localhost", "127.0.0.1", "::1"];
const LEAF_NAMES = [
  `URI:spiffe://${trustDomain}/ns/shop/sa/cart`,
  ...["DNS:trysail.trysail-system.svc", "DNS:localhost", "IP:127.0.0.1", "IP:::1"],
].join(",");

interface Chain {
  readonly root: string;
  readonly own: string;
  readonly ownKey: string;
  /** Leaf, intermediate, and the leaf's key. */
  readonly leaf: string;
}

interface ChainExtensions {
  readonly root?: readonly string[];
  readonly own?: readonly string[];
}

async function makeChain(t: TestContext, extensions: ChainExtensions): Promise<Chain> {
  const folder = await temporaryPath(t, "chain");
  const file = (name: string) => `${folder}-${name}.pem`;
  const config = file("config");
  await writeFile(config, "[req]\ndistinguished_name = name\n[name]\n[directory]\nO = mesh\n");
  const authority = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"];
  const make = async (name: string, subject: string, own: readonly string[], by?: string) => {
    await openssl(
      ...["req", "-x509", "-config", config, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
      ...["-days", "9", "-subj", subject, "-keyout", file(`${name}-key`), "-out", file(name)],
      ...(by === undefined ? [] : ["-CA", file(by), "-CAkey", file(`${by}-key`)]),
      ...own.flatMap((extension) => ["-addext", extension]),
    );
  };
  await make("root", "/CN=root", [...authority, ...(extensions.root ?? [])]);
  await make("own", "/CN=own", [...authority, ...(extensions.own ?? [])], "root");
  const usage = ["basicConstraints=critical,CA:FALSE", "extendedKeyUsage=serverAuth,clientAuth"];
  await make("bare", "/", [...usage, `subjectAltName=critical,${LEAF_NAMES}`], "own");
  const parts = await Promise.all(["bare", "own", "bare-key"].map((name) => readFile(file(name), "utf8")));
  await writeFile(file("leaf"), parts.join(""));
  return { root: file("root"), own: file("own"), ownKey: file("own-key"), leaf: file("leaf") };
}

/** Undefined where it is taken, else why not. */
const refusalOf = (verifying: Promise<unknown>): Promise<string | undefined> =>
  verifying.then(
    () => undefined,
    (error: unknown) => messageOf(error),
  );

async function judge({ root, own, ownKey, leaf }: Chain) {
  const files: Readonly<Record<string, string>> = {
    ...{ "ca-cert.pem": own, "ca-key.pem": ownKey, "cert-chain.pem": own, "root-cert.pem": root },
  };
  const source = createAuthoritySource({
    ...{ name: "cacerts", trustDomain, servingHosts },
    readFile: async (name) => (files[name] === undefined ? undefined : readFile(files[name])),
  });
  const verify = (purpose: string) =>
    openssl("verify", "-x509_strict", "-purpose", purpose, "-CAfile", root, "-untrusted", own, leaf);
  return {
    ours: await refusalOf(source.read()),
    openssl: (await refusalOf(verify("sslserver"))) ?? (await refusalOf(verify("sslclient"))),
    go: await refusalOf(goHandshake({ server: leaf, client: leaf, roots: root })),
  };
}

const constraints = (value: string) => `nameConstraints=critical,${value}`;
const PERMITTED_HOSTS = "permitted;DNS:svc,permitted;DNS:localhost";

const taken: [title: string, extensions: ChainExtensions][] = [
  ["permits the trust domain", { own: [constraints("permitted;URI:cluster.local")] }],
  ["permits it in capitals", { own: [constraints("permitted;URI:CLUSTER.LOCAL")] }],
  ["permits what is below its upper domain", { own: [constraints("permitted;URI:.local")] }],
  ["permits it among others", { own: [constraints("permitted;URI:example.org,permitted;URI:cluster.local")] }],
  ["excludes another", { own: [constraints("excluded;URI:example.org,excluded;DNS:example.org")] }],
  ["speaks of e-mail alone", { own: [constraints("permitted;email:example.org")] }],
  ["permits the names of the control plane", { own: [constraints(PERMITTED_HOSTS)] }],
  [
    "permits its addresses",
    {
      own: [
        constraints(
          "permitted;IP:127.0.0.0/255.0.0.0,permitted;IP:0:0:0:0:0:0:0:1/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        ),
      ],
    },
  ],
  ["stands under a root that permits it", { root: [constraints("permitted;URI:cluster.local")] }],
];

const refused: [title: string, extensions: ChainExtensions, says: RegExp][] = [
  [
    "permits another trust domain alone",
    { own: [constraints("permitted;URI:example.org")] },
    /ca-cert\.pem leads by CN=own, which may not vouch for spiffe:\/\/cluster\.local \(nameConstraints\)$/,
  ],
  ["excludes the trust domain", { own: [constraints("excluded;URI:cluster.local")] }, /spiffe:\/\/cluster\.local/],
  ["excludes what is below its upper domain", { own: [constraints("excluded;URI:.local")] }, /spiffe:/],
  ["permits what is below it alone", { own: [constraints("permitted;URI:.cluster.local")] }, /spiffe:/],
  ["permits the upper domain", { own: [constraints("permitted;URI:local")] }, /spiffe:/],
  ["permits a whole URI, which is no host", { own: [constraints("permitted;URI:spiffe://cluster.local")] }, /spiffe:/],
  [
    "permits other DNS names alone",
    { own: [constraints("permitted;DNS:example.org")] },
    /trysail\.trysail-system\.svc/,
  ],
  ["excludes a name of the control plane", { own: [constraints("excluded;DNS:localhost")] }, /localhost/],
  ["permits other addresses alone", { own: [constraints("permitted;IP:10.0.0.0/255.0.0.0")] }, /127\.0\.0\.1/],
  ["excludes an address", { own: [constraints("excluded;IP:127.0.0.0/255.0.0.0")] }, /127\.0\.0\.1/],
  ["knows names that Go cannot judge", { own: [constraints("permitted;dirName:directory")] }, /which Go refuses/],
  [
    "stands under a root that excludes the trust domain",
    { root: [constraints("excluded;URI:cluster.local")] },
    /CN=root, which may not vouch for spiffe:/,
  ],
  ["is for servers alone", { own: ["extendedKeyUsage=serverAuth"] }, /CN=own.*extendedKeyUsage/],
  ["stands under a root for clients alone", { root: ["extendedKeyUsage=clientAuth"] }, /CN=root.*extendedKeyUsage/],
];

for (const [title, extensions] of taken) {
  test(`an authority that ${title} is taken, as OpenSSL and Go take it`, { skip }, async (t) => {
    const none = { ours: undefined, openssl: undefined, go: undefined };
    assert.deepEqual(await judge(await makeChain(t, extensions)), none);
  });
}

for (const [title, extensions, says] of refused) {
  test(`an authority that ${title} is refused, as OpenSSL or Go refuse it`, { skip }, async (t) => {
    const { ours, ...others } = await judge(await makeChain(t, extensions));
    assert.match(ours ?? "taken", says);
    assert.ok(
      Object.values(others).some((refusal) => refusal !== undefined),
      "both of them take it",
    );
  });
}

test("what a signer elsewhere answers is held against the limits of its chain as well", { skip }, async (t) => {
  const answerOf = async ({ leaf, root }: Chain) => {
    const chainPem = await readFile(leaf, "utf8");
    return {
      ...{ chainPem, rootsPem: await readFile(root, "utf8"), now: Date.now(), longestLifeMs: 30 * 86_400_000 },
      asked: {
        publicKey: new X509Certificate(chainPem).publicKey.export({ type: "spki", format: "der" }),
        names: { hosts: servingHosts },
      },
    };
  };
  const good = await answerOf(await makeChain(t, { own: [constraints(PERMITTED_HOSTS)] }));
  assert.equal(certificatesOf(verifyExternal(good).chainPem).length, 2);
  const bad = await answerOf(await makeChain(t, { own: [constraints("excluded;DNS:localhost")] }));
  assert.throws(
    () => verifyExternal(bad),
    (error: Error) => /CN=own, which may not vouch for localhost/.test(String(error.cause)),
  );
});
