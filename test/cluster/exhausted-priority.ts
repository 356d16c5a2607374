import { request } from "node:https";
import type { TestContext } from "node:test";
import { create } from "./create.ts";
import type { TestKubernetes } from "./start-kubernetes.ts";

const FLOWS = "/apis/flowcontrol.apiserver.k8s.io/v1";
const SCHEMA = `${FLOWS}/flowschemas/exhausted`;

/**
 * Lets an API server answer every request of an account in `trysail-system` with 429, until the returned function is
 * called: its requests share a priority level without seats, of which it gives one away where none is taken, and that
 * one is taken by a request whose body never ends.
 * https://kubernetes.io/docs/concepts/cluster-administration/flow-control/
 */
export async function exhaustPriority(
  t: TestContext,
  kubernetes: TestKubernetes,
  account: string,
): Promise<() => Promise<void>> {
  await create(kubernetes, `${FLOWS}/prioritylevelconfigurations`, {
    metadata: { name: "exhausted" },
    spec: {
      type: "Limited",
      limited: {
        ...{ nominalConcurrencyShares: 0, lendablePercent: 0, borrowingLimitPercent: 0 },
        limitResponse: { type: "Reject" },
      },
    },
  });
  const user = `system:serviceaccount:trysail-system:${account}`;
  await create(kubernetes, `${FLOWS}/flowschemas`, {
    metadata: { name: "exhausted" },
    spec: {
      priorityLevelConfiguration: { name: "exhausted" },
      matchingPrecedence: 2,
      rules: [
        {
          subjects: [{ kind: "User", user: { name: user } }],
          resourceRules: [{ verbs: ["*"], apiGroups: ["*"], resources: ["*"], clusterScope: true, namespaces: ["*"] }],
          nonResourceRules: [{ verbs: ["*"], nonResourceURLs: ["*"] }],
        },
      ],
    },
  });
  const path = `/api/v1/namespaces/trysail-system/serviceaccounts/${account}/token`;
  const { body } = await kubernetes.call("POST", path, { spec: {} });
  let isOver = false;
  let end = () => {};
  const take = (): void => {
    if (isOver) return;
    const taken = request(new URL("/api/v1/namespaces/trysail-system/configmaps", kubernetes.url), {
      method: "POST",
      ca: kubernetes.rootPem,
      agent: false,
      headers: {
        authorization: `Bearer ${body.status.token}`,
        "content-type": "application/json",
        "content-length": 100,
      },
    });
    end = () => taken.destroy();
    taken.on("response", () => taken.destroy());
    taken.on("error", () => taken.destroy());
    // Refused as the others where one of them came first; the API server ends it where it takes too long.
    taken.on("close", () => setTimeout(take, 20));
    taken.write("{");
  };
  take();
  const stop = () => {
    isOver = true;
    end();
  };
  t.after(stop);
  return async () => {
    stop();
    await kubernetes.call("DELETE", SCHEMA);
  };
}
