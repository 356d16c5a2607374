import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openssl } from "../support/openssl.ts";
import { temporaryPath } from "../support/state.ts";
import type { TestKubernetes } from "./start-kubernetes.ts";

/** What the signer does with the requests that are approved. */
export type SignerBehaviour =
  | "sign"
  | "fail"
  | "ignore"
  /** These answer a certificate that was not asked for. */
  | "other-key"
  | "other-name"
  | "other-root"
  | "clients-only"
  | "authority";

export interface OpensslSigner {
  readonly rootPath: string;
  behaviour: SignerBehaviour;
}

const REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
const ROOT = ["-days", "30", "-addext", "keyUsage=critical,keyCertSign,cRLSign"];
const LEAF = [
  "basicConstraints=critical,CA:FALSE",
  "keyUsage=critical,digitalSignature",
  "extendedKeyUsage=serverAuth,clientAuth",
];
const AUTHORITY = ["basicConstraints=critical,CA:TRUE,pathlen:0", "keyUsage=critical,keyCertSign,cRLSign"];
const KEY_IDENTIFIERS = ["subjectKeyIdentifier=hash", "authorityKeyIdentifier=keyid:always"];
const OTHER_NAME = "subjectAltName=critical,URI:spiffe://cluster.local/ns/shop/sa/till";

/** Stands in for a company's own signer of `certificates.k8s.io`: an intermediate of openssl's, under a root of its own. */
export async function startOpensslSigner(
  t: TestContext,
  kubernetes: TestKubernetes,
  signerName: string,
): Promise<OpensslSigner> {
  const folder = await temporaryPath(t, "signer");
  await mkdir(folder);
  const file = (name: string) => join(folder, name);
  const makeAuthority = async (name: string) => {
    const subject = (kind: string) => `/O=Example/CN=${name} ${kind}`;
    const [root, rootKey] = [file(`${name}-root.pem`), file(`${name}-root-key.pem`)];
    await openssl("req", "-x509", ...KEY, "-keyout", rootKey, "-out", root, "-subj", subject("root"), ...ROOT);
    const [csr, key] = [file(`${name}.csr`), file(`${name}-key.pem`)];
    await openssl("req", "-new", ...KEY, "-keyout", key, "-out", csr, "-subj", subject("issuer"));
    await certify({ csr, by: { certificate: root, key: rootKey }, extensions: AUTHORITY, out: file(`${name}.pem`) });
    return { root, certificate: file(`${name}.pem`), key };
  };
  const certify = async (order: {
    csr: string;
    by: { certificate: string; key: string };
    extensions: readonly string[];
    out: string;
    copied?: "copy" | "none";
  }) => {
    await writeFile(`${order.out}.ext`, [...order.extensions, ...KEY_IDENTIFIERS].join("\n"));
    const by = ["-CA", order.by.certificate, "-CAkey", order.by.key, "-days", "2"];
    const names = ["-copy_extensions", order.copied ?? "copy", "-extfile", `${order.out}.ext`];
    await openssl("x509", "-req", "-in", order.csr, ...by, ...names, "-out", order.out);
  };
  const [authority, other] = [await makeAuthority("mesh"), await makeAuthority("other")];
  const signer: OpensslSigner = { rootPath: authority.root, behaviour: "sign" };

  const answer = async (name: string, request: string): Promise<object> => {
    if (signer.behaviour === "fail") {
      return { conditions: [{ type: "Failed", status: "True", reason: "Policy", message: "not on a Saturday" }] };
    }
    const [csr, out] = [file(`${name}.csr`), file(`${name}.pem`)];
    await writeFile(csr, Buffer.from(request, "base64"));
    if (signer.behaviour === "other-key") {
      const names = await openssl("req", "-in", csr, "-noout", "-text");
      const [, uri = ""] = /URI:(\S+)/.exec(names) ?? [];
      const made = ["-subj", "/", "-addext", `subjectAltName=critical,URI:${uri}`];
      await openssl("req", "-new", ...KEY, "-keyout", file(`${name}-key.pem`), "-out", csr, ...made);
    }
    const by = signer.behaviour === "other-root" ? other : authority;
    const leaf = signer.behaviour === "clients-only" ? [...LEAF.slice(0, 2), "extendedKeyUsage=clientAuth"] : LEAF;
    const extensions =
      signer.behaviour === "authority" ? [...AUTHORITY, "extendedKeyUsage=serverAuth,clientAuth"] : leaf;
    if (signer.behaviour === "other-name") {
      await certify({ csr, by, extensions: [...extensions, OTHER_NAME], out, copied: "none" });
    } else {
      await certify({ csr, by, extensions, out });
    }
    const chain = [await readFile(out), await readFile(by.certificate), await readFile(by.root)];
    return { certificate: Buffer.concat(chain).toString("base64") };
  };

  const work = async (): Promise<void> => {
    const selected = `${REQUESTS}?fieldSelector=${encodeURIComponent(`spec.signerName=${signerName}`)}`;
    for (const request of (await kubernetes.call("GET", selected)).body.items ?? []) {
      const { conditions = [], certificate } = request.status;
      const types = conditions.map(({ type }: { type: string }) => type);
      if (certificate !== undefined || types.join() !== "Approved" || signer.behaviour === "ignore") continue;
      const { name } = request.metadata;
      const { conditions: more = [], ...issued } = Object(await answer(name, request.spec.request));
      const status = { ...request.status, ...issued, conditions: [...conditions, ...more] };
      await kubernetes.call("PUT", `${REQUESTS}/${name}/status`, { ...request, status });
    }
  };
  const stopped = new AbortController();
  const running = (async () => {
    while (!stopped.signal.aborted) {
      // The API server may be away for a while, and requests go as soon as they are answered.
      await work().catch(() => {});
      await sleep(20);
    }
  })();
  t.after(async () => {
    stopped.abort();
    await running;
  });
  return signer;
}
