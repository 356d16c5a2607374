import { execFile, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { until } from "../support/until.ts";
import type { MeshCluster, PodName } from "./mesh-cluster.ts";

/** Where test/cluster/node/up.sh keeps what it started. */
const NODE = process.env.TRYSAIL_TEST_NODE;

/** Why a test that breaks what pods run on is skipped here, or false. */
export const notOurNode = NODE === undefined ? "another's node is not ours to break" : false;

/** Kills the API server, as a crash does. */
export async function apiServerOutage(cluster: MeshCluster): Promise<{ end(): Promise<void> }> {
  const folder = nodeFolder();
  process.kill(Number(readFileSync(join(folder, "pid/kube-apiserver"), "utf8")), "SIGKILL");
  await until("the API server to be gone", () =>
    cluster.call("GET", "/readyz").then(
      () => false,
      () => true,
    ),
  );
  return {
    async end() {
      // Of a session of its own, and so of the node's life and not the test's.
      spawn(join(folder, "start-kube-apiserver"), { detached: true, stdio: "ignore" }).unref();
      await until("the API server", async () => (await cluster.call("GET", "/readyz")).status === 200, {
        timeoutMs: 60_000,
        everyMs: 100,
      });
    },
  };
}

/**
 * Sends a signal to the first container of a pod, and returns the container's id. Killed, the kubelet starts another; stopped, its
 * connections stay open and nobody answers on them.
 */
export async function signalContainer(
  cluster: MeshCluster,
  pod: PodName,
  signal: "SIGKILL" | "SIGSTOP" | "SIGCONT",
): Promise<string> {
  const ctr = ["-a", join(nodeFolder(), "containerd.sock"), "-n", "k8s.io"];
  return until(
    `a container of ${pod.name} that takes ${signal}`,
    async () => {
      const { containerID } = await firstContainer(cluster, pod);
      const task = containerID.replace("containerd://", "");
      await promisify(execFile)("ctr", [...ctr, "tasks", "kill", "--signal", signal, task]);
      return containerID;
    },
    // The status of a pod names a container that has ended until the kubelet writes of the next one.
    { timeoutMs: 30_000, everyMs: 200 },
  );
}

/** Waits until the kubelet has started another container in place of one that was killed. */
export async function startedAgain(cluster: MeshCluster, pod: PodName, killed: string): Promise<void> {
  await until(
    `${pod.name} to be started again`,
    async () => {
      const { containerID, ready } = await firstContainer(cluster, pod);
      return ready && containerID !== killed;
    },
    { timeoutMs: 60_000, everyMs: 200 },
  );
}

async function firstContainer(
  cluster: MeshCluster,
  { namespace, name }: PodName,
): Promise<{ containerID: string; ready: boolean }> {
  const { status } = await cluster.read(`/api/v1/namespaces/${namespace}/pods/${name}`);
  return status.containerStatuses[0];
}

function nodeFolder(): string {
  if (NODE === undefined) throw new Error("no node of our own");
  return NODE;
}
