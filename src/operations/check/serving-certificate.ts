import { certificatesOf } from "../../ca/x509/pem-certificates.ts";
import { certificateLife } from "./certificate-life.ts";
import type { Check, Outcome } from "./check.ts";
import { ownWebhooks } from "./own-webhooks.ts";
import { servedCertificates } from "./served-certificates.ts";

/** What each replica shows whoever connects to it: that it lives, and that the API server's caBundle knows it. */
export const servingCertificate: Check = {
  name: "serving",
  when: "after",
  async run(target) {
    const [webhook] = await ownWebhooks(target);
    if (webhook === undefined) {
      const message = "no webhook leads to the control plane";
      return [{ status: "fail", message, action: "helm upgrade brings its webhook configurations back" }];
    }
    const known = certificatesOf(Buffer.from(webhook.clientConfig.caBundle ?? "", "base64").toString());
    const served = await servedCertificates(target, webhook.clientConfig);
    return served.map(({ from, leaf, chain }): Outcome => {
      const links = [leaf, ...chain];
      const isKnown = known.some((root) => links.some((link) => link.checkIssued(root) && link.verify(root.publicKey)));
      if (isKnown) return certificateLife(`the certificate of ${from}`, leaf, target.clock.now());
      const message = `the certificate of ${from} is not of the roots in the webhooks' caBundle`;
      const action = "somebody else answers there, or it has an authority of its own: restart it, and see its log";
      return { status: "fail", message, action };
    });
  },
};
