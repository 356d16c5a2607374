import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Cleanup } from "./cleanup.ts";
import { openssl } from "./openssl.ts";
import { temporaryPath } from "./state.ts";

/** Certificates of openssl's with their keys, as PEM files `NAME.pem` and `NAME.key` in a folder of the test's own. */
export interface TestCertificates {
  path(file: string): string;
  read(file: string): Promise<string>;
  root(name: string): Promise<void>;
  /** By a root, for these names, such as `DNS:good.test`. */
  leaf(
    name: string,
    options: { readonly by: string; readonly san: string; readonly key?: "EC" | "RSA" },
  ): Promise<void>;
  /** Writes a root's list of certificates that it took back: `NAME.crl`. */
  revoke(root: string, leaf: string): Promise<void>;
}

const NEW_KEY = {
  EC: ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
  RSA: ["-newkey", "rsa:2048"],
};

export async function createCertificates(t: Cleanup): Promise<TestCertificates> {
  const folder = await temporaryPath(t, "certificates");
  await mkdir(folder);
  const path = (file: string) => join(folder, file);
  const make = async (name: string, key: keyof typeof NEW_KEY, ...more: string[]) => {
    const out = ["-keyout", path(`${name}.key`), "-out", path(`${name}.pem`), "-subj", `/CN=${name}`];
    await openssl("req", "-x509", ...NEW_KEY[key], "-nodes", "-days", "1", ...out, ...more);
  };
  return {
    path,
    read: (file) => readFile(path(file), "utf8"),
    root: (name) => make(name, "EC", "-addext", "keyUsage=keyCertSign,cRLSign"),
    leaf: (name, { by, san, key = "EC" }) =>
      make(name, key, "-CA", path(`${by}.pem`), "-CAkey", path(`${by}.key`), "-addext", `subjectAltName=${san}`),
    revoke: async (root, leaf) => {
      const config = path(`${root}.conf`);
      const index = path(`${root}.index`);
      await writeFile(index, "");
      const own = `database=${index}\ndefault_md=sha256\ndefault_crl_days=1\n`;
      await writeFile(config, `[ca]\ndefault_ca=own\n[own]\n${own}`);
      const by = ["-config", config, "-cert", path(`${root}.pem`), "-keyfile", path(`${root}.key`)];
      await openssl("ca", ...by, "-revoke", path(`${leaf}.pem`));
      await openssl("ca", ...by, "-gencrl", "-out", path(`${root}.crl`));
    },
  };
}
