import { Type } from "typebox";
import { Compile } from "typebox/compile";
import { CONTAINER_NAME } from "../../injection/pod-contract.ts";
import { listAll } from "../../kubernetes/list-all.ts";
import type { KubernetesObject } from "../../kubernetes/object.ts";
import { readNamespaces } from "../revisions.ts";
import { type Check, type CheckTarget, namesIn, type Outcome } from "./check.ts";

const Node = Compile(
  Type.Object({
    status: Type.Object({ nodeInfo: Type.Object({ kernelVersion: Type.String(), operatingSystem: Type.String() }) }),
  }),
);
const Ended = Type.Object({ exitCode: Type.Integer(), message: Type.Optional(Type.String()) });
const States = Type.Object({ terminated: Type.Optional(Ended) });
const MeshedPod = Compile(
  Type.Object({
    spec: Type.Object({ nodeName: Type.String() }),
    status: Type.Object({
      initContainerStatuses: Type.Array(
        Type.Object({ name: Type.String(), state: Type.Optional(States), lastState: Type.Optional(States) }),
      ),
    }),
  }),
);

/** Nobody has tried interception on older ones. */
const OLDEST_KERNEL = [4, 19] as const;
/** The init container's NET_ADMIN and NET_RAW are beyond both. */
const TOO_STRICT = ["baseline", "restricted"];

/**
 * What redirects a pod's traffic: iptables rules that an init container makes. The API tells nothing of a node's kernel
 * modules, so the proof is a pod that did it there; where there is none yet, that is said.
 */
export const interception: Check = {
  name: "interception",
  when: "always",
  async run(target) {
    const nodes = await listAll(target.client, "/api/v1/nodes");
    return [...kernels(nodes), ...(await podSecurity(target)), ...(await evidence(target, nodes.length))];
  },
};

function kernels(nodes: readonly KubernetesObject[]): readonly Outcome[] {
  const known = nodes.flatMap((node) =>
    Node.Check(node) ? [{ name: node.metadata.name ?? "", ...node.status.nodeInfo }] : [],
  );
  const windows = known.filter(({ operatingSystem }) => operatingSystem === "windows").map(({ name }) => name);
  const old = known
    .filter(({ operatingSystem, kernelVersion }) => operatingSystem === "linux" && isOld(kernelVersion))
    .map(({ name, kernelVersion }) => `${name} (${kernelVersion})`);
  const outcomes: Outcome[] = [];
  if (windows.length > 0) {
    const message = `Windows nodes, whose pods stay out of the mesh: ${namesIn(windows)}`;
    outcomes.push({ status: "warn", message, action: "keep meshed pods on Linux nodes by a nodeSelector" });
  }
  if (old.length > 0) {
    const message = `kernels older than ${OLDEST_KERNEL.join(".")}, on which nobody has tried interception: ${namesIn(old)}`;
    outcomes.push({ status: "warn", message, action: "upgrade them, or watch the first pods' init containers there" });
  }
  return outcomes;
}

function isOld(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map((part) => Number.parseInt(part, 10));
  return major < OLDEST_KERNEL[0] || (major === OLDEST_KERNEL[0] && minor < OLDEST_KERNEL[1]);
}

async function podSecurity({ client }: CheckTarget): Promise<readonly Outcome[]> {
  const strict = (await readNamespaces(client)).filter(({ metadata: { labels = {} } }) => {
    const asks = labels["istio-injection"] === "enabled" || labels["istio.io/rev"] !== undefined;
    return asks && TOO_STRICT.includes(labels["pod-security.kubernetes.io/enforce"] ?? "");
  });
  if (strict.length === 0) return [];
  const message = `Pod Security refuses injected pods in ${namesIn(strict.map(({ metadata }) => metadata.name ?? ""))}, unless interception is done on the node`;
  const action =
    "label them pod-security.kubernetes.io/enforce=privileged, or set injection.interceptionBy=node with a plug-in that redirects";
  return [{ status: "warn", message, action }];
}

async function evidence({ client, isInstalled }: CheckTarget, nodes: number): Promise<readonly Outcome[]> {
  const unseen = "kernel modules cannot be seen through the API";
  if (!isInstalled) {
    return [{ status: "pass", message: `${nodes} nodes; ${unseen}: the first meshed pod of each shows them` }];
  }
  const query = { labelSelector: "security.istio.io/tlsMode=istio" };
  const working = new Set<string>();
  const failing: string[] = [];
  for (const pod of await listAll(client, "/api/v1/pods", { query })) {
    if (!MeshedPod.Check(pod)) continue;
    const init = pod.status.initContainerStatuses.find(({ name }) => name === CONTAINER_NAME.init);
    const ended = init?.state?.terminated ?? init?.lastState?.terminated;
    if (ended?.exitCode === 0) working.add(pod.spec.nodeName);
    else if (ended !== undefined)
      failing.push(`${pod.metadata.namespace}/${pod.metadata.name} on ${pod.spec.nodeName}`);
  }
  const outcomes: Outcome[] = [];
  if (failing.length > 0) {
    const message = `the init container fails in ${namesIn(failing)}`;
    const action = `kubectl logs POD -c ${CONTAINER_NAME.init} says what the node lacks`;
    outcomes.push({ status: "fail", message, action });
  }
  outcomes.push({ status: "pass", message: `proven by meshed pods on ${working.size} of ${nodes} nodes; ${unseen}` });
  return outcomes;
}
