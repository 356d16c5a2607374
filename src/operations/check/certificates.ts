import type { X509Certificate } from "node:crypto";
import { certificatesOf } from "../../ca/x509/pem-certificates.ts";
import { resourcePath } from "../../kubernetes/resource-path.ts";
import { trustBundleIn } from "../../kubernetes/trust-bundle-map.ts";
import { TRUST_BUNDLE_MAP } from "../../platform/trust-bundle.ts";
import { certificateLife } from "./certificate-life.ts";
import { type Check, namesIn, type Outcome } from "./check.ts";
import { type NamedWebhook, ownWebhooks } from "./own-webhooks.ts";

/** How long the mesh's roots live, and whether the API server knows them. */
export const certificates: Check = {
  name: "certificates",
  when: "after",
  async run(target) {
    const { client, systemNamespace: namespace, clock } = target;
    const address = { apiVersion: "v1", resource: "configmaps", namespace, name: TRUST_BUNDLE_MAP };
    const bundle = trustBundleIn(await client.get(resourcePath(address)));
    const webhooks = await ownWebhooks(target);
    const roots = readableCertificates(bundle);
    return [
      ...(roots.length === 0
        ? [noRoots]
        : roots.map((root) => certificateLife("a root of the mesh", root, clock.now()))),
      caBundles(webhooks, roots),
    ];
  },
};

const noRoots: Outcome = {
  status: "fail",
  message: `the ConfigMap ${TRUST_BUNDLE_MAP} holds no certificate`,
  action: "the leader of the control plane writes it: see its log",
};

/** None where somebody has written something else in their place. */
function readableCertificates(pem: string): readonly X509Certificate[] {
  try {
    return certificatesOf(pem);
  } catch {
    return [];
  }
}

function caBundles(webhooks: readonly NamedWebhook[], roots: readonly X509Certificate[]): Outcome {
  const textOf = (certificates: readonly X509Certificate[]) =>
    certificates.map(({ fingerprint256 }) => fingerprint256).join();
  const wrong = webhooks.filter(({ clientConfig: { caBundle = "" } }) => {
    return textOf(readableCertificates(Buffer.from(caBundle, "base64").toString())) !== textOf(roots);
  });
  if (wrong.length === 0) {
    return { status: "pass", message: `the caBundle of ${webhooks.length} webhooks is the mesh's trust bundle` };
  }
  const where = [...new Set(wrong.map(({ configuration }) => configuration))];
  const message = `the caBundle is not the mesh's trust bundle in ${namesIn(where)}`;
  const action = "the leader of the control plane keeps it within seconds: see its log, and the permissions above";
  return { status: "fail", message, action };
}
