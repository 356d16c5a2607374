import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type Authority, type FirstMaterial, loadAuthority } from "../../src/ca/authority/authority.ts";
import { createFolderStore } from "../../src/ca/authority/authority-folder-store.ts";
import { firstOf } from "../../src/ca/authority/authority-source.ts";
import { createFolderSource } from "../../src/ca/authority/folder-source.ts";
import { createSelfSignedRoot, crossSign } from "../../src/ca/authority/self-signed-root.ts";
import { issue } from "../../src/ca/issue.ts";
import { createServingCertificate } from "../../src/ca/serving/serving-certificate.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { createLog } from "../../src/platform/log.ts";
import { systemRandom } from "../../src/platform/random.ts";
import { issueBy } from "../support/authority.ts";
import { temporaryPath, temporaryState } from "../support/state.ts";
import { certificateCheckMissing, goHandshake, lintCertificates, lintRevocationLists } from "./certificate-check.ts";

/** What other people's tools say of every kind of certificate that the authority makes: zlint, and Go's TLS. */

const run = promisify(execFile);
const HOUR_MS = 3_600_000;
const skip = certificateCheckMissing();
const trustDomain = "cluster.local";
const deps = { clock: systemClock, random: systemRandom, trustDomain };

/** Rules of the public web (CA/Browser Forum), which say the opposite of what a mesh needs; all others must be kept. */
const RULES_OF_THE_WEB: Readonly<Record<string, string>> = {
  e_algorithm_identifier_improper_encoding: "the web knows no Ed25519; the encoding is that of RFC 8410",
  e_ca_country_name_missing: "a mesh's root belongs to no country",
  e_cabf_ecc_allowed_key_usages: "wants every key on a curve to sign handshakes; an authority's must not",
  e_dnsname_not_valid_tld: "a control plane's names are those of a cluster, which end in .svc and .cluster.local",
  e_ext_san_contains_reserved_ip: "a control plane is reached on loopback",
  e_ext_san_uniform_resource_identifier_present: "a SPIFFE id is a URI",
  e_sub_cert_aia_missing: "peers are sent the whole chain, and nobody is asked about revocation",
  e_sub_cert_cert_policy_empty: "as for intermediates",
  e_sub_cert_certificate_policies_missing: "the same",
  e_invalid_ca_certificate_policies: "a mesh has no certification practice statement to point at",
  e_sub_ca_certificate_policies_missing: "the same",
  e_sub_ca_crl_distribution_points_missing: "proxies fetch nothing: lists are pushed to them",
  n_ca_digital_signature_not_set: "an authority answers no OCSP",
  n_mp_allowed_eku: "an intermediate is limited by its path length and by who trusts its root",
  n_sub_ca_eku_missing: "the same",
  n_san_iana_pub_suffix_empty: "`trysail` and `localhost` are names of a cluster and of a machine",
  w_ct_sct_policy_count_unsatisfied: "certificates of a mesh are in no public log",
  w_ext_subject_key_identifier_not_recommended_subscriber: "RFC 5280 (4.2.1.2) wants one in every certificate",
  w_sub_ca_aia_missing: "peers are sent the whole chain",
  w_sub_cert_aia_does_not_contain_issuing_ca_url: "peers are sent the whole chain",
};

/** The same for revocation lists. */
const LIST_RULES_OF_THE_WEB: Readonly<Record<string, string>> = {
  e_crl_next_update_invalid: "a list of a web authority lives ten days at most; a mesh's as long as its operator says",
};

const KEYS = [
  { kind: "p256", keys: generateKeyPairSync("ec", { namedCurve: "P-256" }) },
  { kind: "p384", keys: generateKeyPairSync("ec", { namedCurve: "P-384" }) },
  { kind: "rsa-2048", keys: generateKeyPairSync("rsa", { modulusLength: 2048 }) },
  { kind: "rsa-4096", keys: generateKeyPairSync("rsa", { modulusLength: 4096 }) },
  { kind: "ed25519", keys: generateKeyPairSync("ed25519") },
];

/** The mesh's own root, and intermediates by the recipes of certs/, each of which signs leaves. Made once: RSA takes its time. */
const authorities: { readonly kind: string; readonly authority: Authority }[] = [];
/** Where the recipes have written the intermediate on a curve. */
let certsFolder = "";

before(async (context) => {
  if (skip !== false) return;
  const t = context as TestContext;
  const load = async (kind: string, first: () => Promise<FirstMaterial | undefined>) => {
    const store = createFolderStore({ state: await temporaryState(t), trustDomain });
    authorities.push({ kind, authority: await loadAuthority({ ...deps, store, first, log: createLog("silent") }) });
  };
  await load("own-root", async () => undefined);
  for (const key of ["ec", "rsa"]) {
    const out = await temporaryPath(t, "certs");
    await make("root", `OUT=${out}`, `KEY=${key}`);
    await make("intermediate", `OUT=${out}`, `KEY=${key}`);
    const source = createFolderSource({ path: join(out, "cluster-1"), trustDomain });
    await load(`${key}-intermediate`, () => firstOf(source));
    if (key === "ec") certsFolder = out;
  }
});

/** `make -C certs`. */
async function make(...args: string[]): Promise<void> {
  await run("make", ["-s", "-C", fileURLToPath(new URL("../../certs", import.meta.url)), ...args]);
}

async function leafOf(authority: Authority, { publicKey }: { publicKey: KeyObject }, serviceAccount = "cart") {
  const { chainPem } = await issue(
    { signer: authority.signer(), clock: systemClock, maxTtlMs: 24 * HOUR_MS },
    {
      identity: { trustDomain, namespace: "shop", serviceAccount },
      publicKey: publicKey.export({ type: "spki", format: "der" }),
      ttlMs: 24 * HOUR_MS,
    },
  );
  return chainPem;
}

async function servingChain(authority: Authority): Promise<string> {
  const hosts = ["trysail.trysail-system.svc", "trysail.trysail-system.svc.cluster.local", "trysail", "localhost"];
  const serving = createServingCertificate({
    issue: issueBy(authority.signer(), systemClock),
    clock: systemClock,
    log: createLog("silent"),
    hosts: [...hosts, "127.0.0.1", "::1"],
  });
  await serving.start();
  serving.stop();
  return serving.current().chainPem;
}

test("zlint finds nothing in any certificate but where the public web's rules are not a mesh's", {
  skip,
}, async (t) => {
  const dir = await temporaryPath(t, "lint");
  await mkdir(dir);
  const files: string[] = [];
  const put = async (name: string, pem: string) => {
    const file = join(dir, `${name}.pem`);
    await writeFile(file, pem);
    files.push(file);
  };
  for (const { kind, authority } of authorities) {
    await put(`${kind}-signs`, authority.signer().certificate.toString());
    await put(`${kind}-root`, authority.trustBundlePem());
    await put(`${kind}-serving`, await servingChain(authority));
    for (const { kind: keyKind, keys } of KEYS) await put(`${kind}-${keyKind}`, await leafOf(authority, keys));
  }
  const [older, newer] = [createSelfSignedRoot(deps), createSelfSignedRoot(deps)];
  await put("cross", crossSign(newer, older, deps));

  const findings = await lintCertificates(files);
  const unexpected = findings.filter(({ lint }) => !(lint in RULES_OF_THE_WEB));
  assert.deepEqual(unexpected, []);
  const met = new Set(findings.map(({ lint }) => lint));
  const unneeded = Object.keys(RULES_OF_THE_WEB).filter((lint) => !met.has(lint));
  assert.deepEqual(unneeded, [], "a rule that is kept need not be left out");
});

test("zlint finds nothing in the revocation lists that the recipes of certs/ make", { skip }, async () => {
  const out = certsFolder;
  await make("list", `OUT=${out}`, `REVOKED=${out}/cluster-1/ca-cert.pem`);
  await make("list", `OUT=${out}`, "BY=cluster-1");
  const findings = await lintRevocationLists([join(out, "root/crl.pem"), join(out, "cluster-1/crl.pem")]);
  assert.deepEqual(
    findings.filter(({ lint }) => !(lint in LIST_RULES_OF_THE_WEB)),
    [],
  );
});

test("zlint finds a fault where there is one, so the test above says something", { skip }, async (t) => {
  const file = await temporaryPath(t, "faulty.pem");
  const subject = ["-subj", "/CN=cart", "-addext", "keyUsage=keyCertSign", "-addext", "basicConstraints=CA:FALSE"];
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", `${file}.key`];
  await run("openssl", ["req", "-x509", ...key, ...subject, "-days", "1", "-out", file]);
  const lints = (await lintCertificates([file])).map(({ lint }) => lint);
  assert.ok(lints.includes("e_sub_cert_key_usage_cert_sign_bit_set"), lints.join());
});

test("Go's TLS takes a leaf with any key as server and as client, and reads the SPIFFE id back", {
  skip,
}, async (t) => {
  for (const { kind, authority } of authorities) {
    const roots = await temporaryPath(t, "roots.pem");
    await writeFile(roots, authority.trustBundlePem());
    const pair = async (account: string, keys: (typeof KEYS)[number]["keys"]) => {
      const file = await temporaryPath(t, `${account}.pem`);
      const key = keys.privateKey.export({ type: "pkcs8", format: "pem" });
      await writeFile(file, `${await leafOf(authority, keys, account)}${key}`);
      return file;
    };
    for (const { kind: keyKind, keys } of KEYS) {
      const files = { server: await pair("cart", keys), client: await pair("page", keys), roots };
      assert.deepEqual(
        await goHandshake(files),
        {
          byServer: ["spiffe://cluster.local/ns/shop/sa/page"],
          byClient: ["spiffe://cluster.local/ns/shop/sa/cart"],
          version: "TLS 1.3",
        },
        `${keyKind} under ${kind}`,
      );
    }
  }
});

test("Go's TLS refuses a leaf of another mesh on either side", { skip }, async (t) => {
  const [keys] = KEYS;
  assert.ok(keys !== undefined);
  const [ours, other] = await Promise.all(
    authorities.slice(0, 2).map(async ({ authority }) => {
      const [file, roots] = [await temporaryPath(t, "pair.pem"), await temporaryPath(t, "roots.pem")];
      const key = keys.keys.privateKey.export({ type: "pkcs8", format: "pem" });
      await writeFile(file, `${await leafOf(authority, keys.keys)}${key}`);
      await writeFile(roots, authority.trustBundlePem());
      return { file, roots };
    }),
  );
  assert.ok(ours !== undefined && other !== undefined);
  const { file, roots } = ours;
  assert.equal((await goHandshake({ server: file, client: file, roots })).version, "TLS 1.3");
  // A client does not even show what the server says it will not take.
  await assert.rejects(goHandshake({ server: file, client: other.file, roots }), /client didn't provide a certificate/);
  await assert.rejects(goHandshake({ server: other.file, client: file, roots }), /unknown authority/);
});
