import { messageOf, TrysailError } from "../../platform/errors.ts";
import { type Check, controlPlaneName } from "./check.ts";
import { unreachable } from "./unreachable.ts";

const PATH = "/apis/networking.istio.io/v1/namespaces/default/virtualservices";
/** Well-formed for the CRD; only the control plane knows that the expression is none. */
const WRONG = {
  apiVersion: "networking.istio.io/v1",
  kind: "VirtualService",
  metadata: { generateName: "trysail-check-" },
  spec: {
    hosts: ["trysail-check"],
    http: [{ match: [{ uri: { regex: "(" } }], route: [{ destination: { host: "trysail-check" } }] }],
  },
};

/** Configuration that makes no sense, in a dry run: the control plane must be asked, and refuse it. */
export const validation: Check = {
  name: "validation",
  when: "after",
  async run({ client, revision, systemNamespace }) {
    const name = controlPlaneName(revision);
    try {
      await client.create(PATH, WRONG, { query: { dryRun: "All" } });
    } catch (error) {
      if (!(error instanceof TrysailError) || error.code === "permission-denied") throw error;
      const said = messageOf(error);
      if (/denied the request/.test(said) && said.includes(".trysail.io")) {
        return [{ status: "pass", message: "configuration that makes no sense is refused (dry run in default)" }];
      }
      return [unreachable("the validation webhook", said, { name, systemNamespace })];
    }
    const message = "configuration that makes no sense is taken (dry run in default)";
    const action = "the ValidatingWebhookConfiguration is missing or was edited: helm upgrade brings it back";
    return [{ status: "fail", message, action }];
  },
};
