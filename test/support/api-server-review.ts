/** An AdmissionReview of a Deployment's pod, as Kubernetes' API server writes it: its fields, in its order. */
export interface ApiServerReview {
  /** Which of its ReplicaSet's pods it is: they differ in the review's uid, a volume's name and a time. */
  readonly number: number;
  readonly namespace?: string;
  readonly dryRun?: boolean;
}

export function reviewText(of: ApiServerReview): string {
  return JSON.stringify(apiServerReview(of));
}

export function apiServerReview({ number, namespace = "shop", dryRun = false }: ApiServerReview) {
  const kind = { group: "", version: "v1", kind: "Pod" };
  const resource = { group: "", version: "v1", resource: "pods" };
  return {
    kind: "AdmissionReview",
    apiVersion: "admission.k8s.io/v1",
    request: {
      uid: `705ab4f5-6393-41e8-b7cc-${String(number).padStart(12, "0")}`,
      kind,
      resource,
      requestKind: kind,
      requestResource: resource,
      namespace,
      operation: "CREATE",
      userInfo: { username: "system:serviceaccount:kube-system:replicaset-controller", uid: "0a0b8a5e" },
      object: pod(namespace, number),
      oldObject: null,
      dryRun,
      options: { kind: "CreateOptions", apiVersion: "meta.k8s.io/v1" },
    },
  };
}

function pod(namespace: string, number: number) {
  const token = `kube-api-access-${String(number).padStart(5, "x")}`;
  const owner = { apiVersion: "apps/v1", kind: "ReplicaSet", name: "reviews-55f4d9c879", uid: "c7e0bd37" };
  const manager = { manager: "kube-controller-manager", operation: "Update", apiVersion: "v1" };
  return {
    kind: "Pod",
    apiVersion: "v1",
    metadata: {
      generateName: "reviews-55f4d9c879-",
      namespace,
      labels: { app: "reviews", "pod-template-hash": "55f4d9c879", version: "v2" },
      annotations: { "sidecar.istio.io/proxyCPU": "50m", "traffic.sidecar.istio.io/excludeOutboundPorts": "3306" },
      ownerReferences: [{ ...owner, controller: true, blockOwnerDeletion: true }],
      managedFields: [
        {
          ...manager,
          time: new Date(number * 1000).toISOString().replace(".000Z", "Z"),
          fieldsType: "FieldsV1",
          fieldsV1: { "f:metadata": { "f:labels": { ".": {}, "f:app": {} } } },
        },
      ],
    },
    spec: {
      volumes: [
        { name: "tmp", emptyDir: {} },
        {
          name: token,
          projected: {
            sources: [{ serviceAccountToken: { expirationSeconds: 3607, path: "token" } }],
            defaultMode: 420,
          },
        },
      ],
      containers: [
        {
          name: "reviews",
          image: "reviews:1.20.3",
          ports: [{ name: "http", containerPort: 9080, protocol: "TCP" }],
          env: [{ name: "SETTING", value: "value" }],
          resources: { requests: { cpu: "100m", memory: "128Mi" }, limits: { cpu: "2" } },
          volumeMounts: [
            { name: "tmp", mountPath: "/tmp" },
            { name: token, readOnly: true, mountPath: "/var/run/secrets/kubernetes.io/serviceaccount" },
          ],
          readinessProbe: { httpGet: { path: "/ready", port: "http", scheme: "HTTP" }, timeoutSeconds: 1 },
          imagePullPolicy: "IfNotPresent",
        },
      ],
      restartPolicy: "Always",
      terminationGracePeriodSeconds: 30,
      serviceAccountName: "reviews",
      securityContext: {},
      priority: 0,
    },
    status: {},
  };
}
