import { writeFile } from "node:fs/promises";
import type { TestContext } from "node:test";
import { CHART, helm } from "../support/helm.ts";
import { temporaryPath } from "../support/state.ts";
import type { TestKubernetes } from "./start-kubernetes.ts";

/** Installs the chart, and answers a kubeconfig of the control plane's own account: with its rights, and no others. */
export async function chartAccount(
  t: TestContext,
  kubernetes: TestKubernetes,
  values: Readonly<Record<string, unknown>>,
): Promise<string> {
  const set = Object.entries(values).flatMap(([name, value]) => ["--set-json", `${name}=${JSON.stringify(value)}`]);
  const where = [`--kubeconfig=${kubernetes.kubeconfig}`, "--namespace=trysail-system", "--create-namespace"];
  await helm("upgrade", "--install", "trysail", CHART, ...where, ...set);
  const account = "/api/v1/namespaces/trysail-system/serviceaccounts/trysail";
  const { body } = await kubernetes.call("POST", `${account}/token`, { spec: {} });
  const ca = Buffer.from(kubernetes.rootPem).toString("base64");
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "test", cluster: { server: kubernetes.url, "certificate-authority-data": ca } }],
    users: [{ name: "trysail", user: { token: body.status.token } }],
    contexts: [{ name: "test", context: { cluster: "test", user: "trysail" } }],
    "current-context": "test",
  };
  const path = await temporaryPath(t, "kubeconfig");
  await writeFile(path, JSON.stringify(config), { mode: 0o600 });
  return path;
}
