import { generateKeyPairSync, randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createServingCertificate } from "../../src/ca/serving/serving-certificate.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { createLog } from "../../src/platform/log.ts";
import { issueBy, temporaryAuthority } from "../support/authority.ts";
import type { Cleanup } from "../support/cleanup.ts";
import { freePort } from "../support/free-port.ts";
import { temporaryPath } from "../support/state.ts";
import { until } from "../support/until.ts";
import { startProcess } from "./background.ts";
import { type KubernetesClient, kubernetesClient } from "./kubernetes-client.ts";
import type { KubernetesPrograms } from "./programs.ts";

const START_MS = 120_000;
const OWN_SERVICE = "/api/v1/namespaces/default/services/kubernetes";

/** An administrator's client, and what others need to be clients. */
export interface TestKubernetes extends KubernetesClient {
  readonly url: string;
  readonly rootPem: string;
  /** An administrator's. */
  readonly kubeconfig: string;
  /** Kills the API server, as a crash does; its state stays. */
  stopApiServer(): Promise<void>;
  /** Starts it again, on the same port; resolves when it answers. */
  startApiServer(): Promise<void>;
  /** Lets etcd hang, as on a disk that does not answer, until it goes on. */
  freezeEtcd(): void;
  thawEtcd(): void;
}

/**
 * A Kubernetes control plane of the test's own on 127.0.0.1: etcd, kube-apiserver and, where there is one,
 * kube-controller-manager. There are no nodes, so pods are created and never run. `isOpenIdIssuer` makes its tokens name
 * its own address as their issuer, where anyone can then find its keys.
 */
export async function startKubernetes(
  t: Cleanup,
  { isOpenIdIssuer = false, ...programs }: KubernetesPrograms & { readonly isOpenIdIssuer?: boolean },
): Promise<TestKubernetes> {
  const folder = await temporaryPath(t, "kubernetes");
  mkdirSync(folder, { mode: 0o700 });
  const [etcdPort, apiPort] = [await freePort(), await freePort()];
  const files = await writeCredentials(t, folder);

  const etcdUrl = `http://127.0.0.1:${etcdPort}`;
  const etcd = startProcess(t, {
    name: "etcd",
    program: programs.etcd,
    folder,
    args: [
      "--data-dir=etcd",
      `--listen-client-urls=${etcdUrl}`,
      `--advertise-client-urls=${etcdUrl}`,
      // It has no peers: whatever port the system chooses.
      "--listen-peer-urls=http://127.0.0.1:0",
      // Its disk goes with the test.
      "--unsafe-no-fsync",
    ],
  });
  const url = `https://127.0.0.1:${apiPort}`;
  const apiServerArguments = [
    `--etcd-servers=${etcdUrl}`,
    "--bind-address=127.0.0.1",
    "--advertise-address=127.0.0.1",
    // Loopback can be no Service's endpoint.
    "--endpoint-reconciler-type=none",
    `--secure-port=${apiPort}`,
    `--tls-cert-file=${files.certificate}`,
    `--tls-private-key-file=${files.key}`,
    `--token-auth-file=${files.tokens}`,
    "--authorization-mode=RBAC",
    `--service-account-key-file=${files.accountKey}`,
    `--service-account-signing-key-file=${files.accountKey}`,
    `--service-account-issuer=${isOpenIdIssuer ? url : "https://kubernetes.default.svc.cluster.local"}`,
    "--service-cluster-ip-range=10.96.0.0/16",
    "--allow-privileged",
  ];
  const startServer = () =>
    startProcess(t, { name: "kube-apiserver", program: programs.apiServer, folder, args: apiServerArguments });
  let apiServer = startServer();
  const client = kubernetesClient(t, { url, ca: files.rootPem, token: files.token });
  const up = async (what: string, isUp: () => Promise<boolean>) =>
    until(
      what,
      () => {
        etcd.assertRunning();
        apiServer.assertRunning();
        return isUp();
      },
      { timeoutMs: START_MS, everyMs: 100 },
    ).catch((cause: unknown) => {
      throw new Error(`${apiServer.logTail()}\n${etcd.logTail()}`, { cause });
    });
  const answers = async (path: string) => (await client.call("GET", path)).status === 200;
  // Its own Service is what it makes once it finds itself ready: behind that nothing comes by itself any more.
  const apiServerUp = () =>
    up("kube-apiserver", async () => (await answers("/readyz")) && (await answers(OWN_SERVICE)));
  await apiServerUp();
  const kubeconfig = writeKubeconfig(folder, url, files);
  if (programs.controllerManager !== null) {
    startProcess(t, {
      name: "kube-controller-manager",
      program: programs.controllerManager,
      folder,
      args: [
        `--kubeconfig=${kubeconfig}`,
        `--service-account-private-key-file=${files.accountKey}`,
        `--root-ca-file=${files.root}`,
        "--leader-elect=false",
        // Nobody asks it anything.
        "--secure-port=0",
        "--controllers=serviceaccount,serviceaccount-token,deployment,replicaset,statefulset,job,cronjob,namespace",
      ],
    });
  }
  return {
    ...client,
    url,
    rootPem: files.rootPem,
    kubeconfig,
    freezeEtcd: () => etcd.signal("SIGSTOP"),
    thawEtcd: () => etcd.signal("SIGCONT"),
    stopApiServer: () => apiServer.kill(),
    async startApiServer() {
      apiServer = startServer();
      await apiServerUp();
    },
  };
}

interface Credentials {
  readonly rootPem: string;
  readonly root: string;
  readonly certificate: string;
  readonly key: string;
  readonly accountKey: string;
  readonly tokens: string;
  readonly token: string;
}

async function writeCredentials(t: Cleanup, folder: string): Promise<Credentials> {
  const write = (name: string, content: string | Uint8Array) => {
    writeFileSync(join(folder, name), content, { mode: 0o600 });
    return join(folder, name);
  };
  const { signer, rootCertificatePem } = await temporaryAuthority(t, systemClock);
  const hosts = ["127.0.0.1", "localhost", "kubernetes.default.svc"];
  const serving = createServingCertificate({
    issue: issueBy(signer, systemClock),
    clock: systemClock,
    log: createLog("silent"),
    hosts,
  });
  await serving.start();
  t.after(() => serving.stop());
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const token = randomBytes(16).toString("hex");
  return {
    rootPem: rootCertificatePem,
    root: write("root.pem", rootCertificatePem),
    certificate: write("api.pem", serving.current().chainPem),
    key: write("api-key.pem", serving.current().keyPem.reveal()),
    accountKey: write("account-key.pem", privateKey.export({ type: "pkcs8", format: "pem" })),
    tokens: write("tokens.csv", `${token},admin,admin,system:masters\n`),
    token,
  };
}

function writeKubeconfig(folder: string, server: string, { root, token }: Credentials): string {
  const path = join(folder, "kubeconfig");
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "test", cluster: { server, "certificate-authority": root } }],
    users: [{ name: "admin", user: { token } }],
    contexts: [{ name: "test", context: { cluster: "test", user: "admin" } }],
    "current-context": "test",
  };
  writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
  return path;
}
