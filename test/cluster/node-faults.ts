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
 * Sends a signal to the first container of a pod. Killed, the kubelet starts it again; stopped, its connections stay open and
 * nobody answers on them.
 */
export async function signalContainer(
  cluster: MeshCluster,
  { namespace, name }: PodName,
  signal: "SIGKILL" | "SIGSTOP" | "SIGCONT",
): Promise<void> {
  const { status } = await cluster.read(`/api/v1/namespaces/${namespace}/pods/${name}`);
  const id: string = status.containerStatuses[0].containerID.replace("containerd://", "");
  const ctr = ["-a", join(nodeFolder(), "containerd.sock"), "-n", "k8s.io"];
  await promisify(execFile)("ctr", [...ctr, "tasks", "kill", "--signal", signal, id]);
}

function nodeFolder(): string {
  if (NODE === undefined) throw new Error("no node of our own");
  return NODE;
}
