import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";

/** How the webhook answered a stream of reviews over HTTPS keep-alive. */
export interface InjectResult {
  readonly perSecond: number;
  readonly p99Ms: number;
  readonly reviews: number;
}

export interface InjectTarget {
  readonly port: number;
  /** PEM that the webhook's certificate is checked against. */
  readonly root: string;
  readonly connections: number;
  readonly seconds: number;
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

/** Sends reviews from a thread of its own, `connections` at a time, after a second of warming up. */
export async function measureInject(target: InjectTarget): Promise<InjectResult> {
  const worker = new Worker(new URL("./inject-client.ts", import.meta.url), {
    workerData: { ...target, body: buildReviewBody() },
  });
  const timer = new AbortController();
  try {
    const answer = new Promise<InjectResult>((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
      worker.once("exit", (code) => reject(new Error(`the client of the webhook ended with ${code}`)));
    });
    const late = sleep((target.seconds + 30) * 1000, undefined, { signal: timer.signal }).then(() => {
      throw new Error("the webhook's client did not end in time");
    });
    return await Promise.race([answer, late]);
  } finally {
    timer.abort();
    await worker.terminate();
  }
}
