import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { type LoadClient, runClient } from "./load-client.ts";

/** What the clients say of the webhook's answers. */
export interface InjectResult {
  /** How many were counted. */
  readonly n: number;
  readonly per_s: number;
  readonly p99_ms: number;
}

export interface InjectLoad {
  readonly port: number;
  /** What the webhook's certificate is checked against. */
  readonly rootCertFile: string;
  readonly connections: number;
  /** Either for so long, not counting what comes before the program is warm, or so many. */
  readonly amount: { readonly seconds: number; readonly warmUpSeconds: number } | { readonly reviews: number };
}

/** A Deployment's pod in an enabled namespace, as the API server sends it. */
export function buildReviewBody(): string {
  const probe = (path: string) => ({
    httpGet: { path, port: "http", scheme: "HTTP" },
    periodSeconds: 10,
    timeoutSeconds: 1,
  });
  const pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      generateName: "reviews-v2-5f6d7c9b8d-",
      namespace: "bench-inject",
      labels: { app: "reviews", version: "v2", "pod-template-hash": "5f6d7c9b8d" },
      annotations: { "sidecar.istio.io/proxyCPU": "50m", "traffic.sidecar.istio.io/excludeOutboundPorts": "3306" },
      ownerReferences: [
        {
          apiVersion: "apps/v1",
          kind: "ReplicaSet",
          name: "reviews-v2-5f6d7c9b8d",
          uid: "2c0b7d58-4b6e-4b6e-9d53-0d3b2a0e2f11",
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
    },
    spec: {
      volumes: [
        { name: "tmp", emptyDir: {} },
        { name: "kube-api-access-x7k2p", projected: { sources: [], defaultMode: 420 } },
      ],
      containers: [
        {
          name: "reviews",
          image: "reviews:1.20.3",
          ports: [{ name: "http", containerPort: 9080, protocol: "TCP" }],
          env: Array.from({ length: 10 }, (_, index) => ({ name: `SETTING_${index}`, value: `value-${index}` })),
          resources: { requests: { cpu: "100m", memory: "128Mi" } },
          readinessProbe: probe("/ready"),
          livenessProbe: probe("/live"),
          volumeMounts: [{ name: "tmp", mountPath: "/tmp" }],
          terminationMessagePath: "/dev/termination-log",
          terminationMessagePolicy: "File",
          imagePullPolicy: "IfNotPresent",
        },
      ],
      restartPolicy: "Always",
      terminationGracePeriodSeconds: 30,
      dnsPolicy: "ClusterFirst",
      serviceAccountName: "reviews",
      securityContext: {},
      schedulerName: "default-scheduler",
      tolerations: [
        { key: "node.kubernetes.io/not-ready", operator: "Exists", effect: "NoExecute", tolerationSeconds: 300 },
      ],
      priority: 0,
      enableServiceLinks: true,
      preemptionPolicy: "PreemptLowerPriority",
    },
  };
  return JSON.stringify({
    kind: "AdmissionReview",
    apiVersion: "admission.k8s.io/v1",
    request: {
      uid: "705ab4f5-6393-11e8-b7cc-42010a800002",
      kind: { group: "", version: "v1", kind: "Pod" },
      resource: { group: "", version: "v1", resource: "pods" },
      namespace: "bench-inject",
      operation: "CREATE",
      userInfo: { username: "system:serviceaccount:kube-system:replicaset-controller" },
      object: pod,
      oldObject: null,
      dryRun: false,
    },
  });
}

/** The namespace that `buildReviewBody` speaks of. */
export const BENCH_NAMESPACE = {
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name: "bench-inject", labels: { "istio-injection": "enabled" } },
};

/** Sends reviews over HTTPS keep-alive, one at a time on each connection. Rejects for an answer that is not a patch. */
export async function measureInject(client: LoadClient, load: InjectLoad, scratch: string): Promise<InjectResult> {
  const { port, rootCertFile, connections, amount } = load;
  if (client.name === "node") return await inThread(load);
  const bodyFile = join(scratch, "review.json");
  await writeFile(bodyFile, buildReviewBody());
  return await runClient<InjectResult>(client, [
    ...["-mode", "inject", "-target", `127.0.0.1:${port}`, "-ca", rootCertFile, "-body", bodyFile],
    ...["-clients", String(connections)],
    ...("seconds" in amount
      ? ["-for", `${amount.seconds}s`, "-warm-up", `${amount.warmUpSeconds}s`]
      : ["-n", String(amount.reviews), "-warm-up", "0s"]),
  ]);
}

async function inThread({ rootCertFile, ...load }: InjectLoad): Promise<InjectResult> {
  const root = await readFile(rootCertFile, "utf8");
  const worker = new Worker(new URL("./inject-client.ts", import.meta.url), {
    workerData: { ...load, root, body: buildReviewBody() },
  });
  try {
    return await new Promise<InjectResult>((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
      worker.once("exit", (code) => reject(new Error(`the client of the webhook ended with ${code}`)));
    });
  } finally {
    await worker.terminate();
  }
}
