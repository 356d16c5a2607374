import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { createKubernetesClient, type KubernetesClient } from "../../src/kubernetes/client.ts";
import { createInClusterConnection } from "../../src/kubernetes/in-cluster.ts";
import { openKubeconfig } from "../../src/kubernetes/kubeconfig.ts";
import { isAllowed } from "../../src/operations/check/permissions.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { temporaryPath } from "../support/state.ts";
import { until } from "../support/until.ts";
import { create } from "./create.ts";
import type { TestKubernetes } from "./start-kubernetes.ts";

/** A rule of a ClusterRole. */
export interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

const RBAC = "/apis/rbac.authorization.k8s.io/v1";

/** A client with every right, by the administrator's kubeconfig. */
export async function adminClient(t: TestContext, kubernetes: TestKubernetes): Promise<KubernetesClient> {
  const client = createKubernetesClient({
    connection: await openKubeconfig(kubernetes.kubeconfig, systemClock),
    clock: systemClock,
  });
  t.after(() => client.close());
  return client;
}

/** A client that is a pod's: known by a mounted token, and allowed what `rules` allow everywhere, from the first call on. */
export async function podClient(
  t: TestContext,
  kubernetes: TestKubernetes,
  { name, rules }: { name: string; rules: readonly Rule[] },
): Promise<KubernetesClient & { setRules(rules: readonly object[]): Promise<void> }> {
  await kubernetes.call("POST", "/api/v1/namespaces", { metadata: { name: "trysail-system" } });
  const accounts = "/api/v1/namespaces/trysail-system/serviceaccounts";
  await create(kubernetes, accounts, { metadata: { name } });
  await create(kubernetes, `${RBAC}/clusterroles`, { metadata: { name }, rules });
  await create(kubernetes, `${RBAC}/clusterrolebindings`, {
    metadata: { name },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name },
    subjects: [{ kind: "ServiceAccount", name, namespace: "trysail-system" }],
  });
  const { body } = await kubernetes.call("POST", `${accounts}/${name}/token`, { spec: {} });
  const accountFolder = await temporaryPath(t, `account-${name}`);
  await mkdir(accountFolder);
  await writeFile(join(accountFolder, "token"), body.status.token);
  await writeFile(join(accountFolder, "ca.crt"), kubernetes.rootPem);
  const { hostname: host, port } = new URL(kubernetes.url);
  const client = createKubernetesClient({
    connection: createInClusterConnection({ host, port, clock: systemClock, accountFolder }),
    clock: systemClock,
  });
  t.after(() => client.close());
  const [rule] = rules;
  if (rule !== undefined) await until("the role to hold", () => may(client, rule));
  return {
    ...client,
    async setRules(changed) {
      await kubernetes.call(
        "PATCH",
        `${RBAC}/clusterroles/${name}`,
        { rules: changed },
        "application/merge-patch+json",
      );
    },
  };
}

/** The API server hears of roles and bindings a little later than it takes them; of a role, all rules hold at once. */
function may(client: KubernetesClient, { apiGroups, resources, resourceNames, verbs }: Rule): Promise<boolean> {
  const [resource, subresource] = resources[0]?.split("/") ?? [];
  const resourceAttributes = { group: apiGroups[0], resource, subresource, name: resourceNames?.[0], verb: verbs[0] };
  return isAllowed(client, "selfsubjectaccessreviews", { resourceAttributes });
}

/** A kubeconfig of an account in `trysail-system`, for programs that take one. */
export async function accountKubeconfig(t: TestContext, kubernetes: TestKubernetes, name: string): Promise<string> {
  const accounts = "/api/v1/namespaces/trysail-system/serviceaccounts";
  const { body } = await kubernetes.call("POST", `${accounts}/${name}/token`, { spec: {} });
  const config = JSON.parse(await readFile(kubernetes.kubeconfig, "utf8"));
  config.users[0].user = { token: body.status.token };
  const path = await temporaryPath(t, `kubeconfig-${name}`);
  await writeFile(path, JSON.stringify(config));
  return path;
}
