/** What differs from pod to pod in a review, by the text that the clients write it over. All are of one length. */
export const REVIEW_FIELD = {
  /** Of the review: its number, in hexadecimal. */
  uid: "UUUUUUUUUUUU",
  /** Of the volume with the service account's token: the review's number, to the base 36. */
  volume: "VVVVV",
  /** Which Deployment the pod is of, in hexadecimal. */
  deployment: "DDDDDDDD",
} as const;

/** The namespace that the reviews speak of. */
export const BENCH_NAMESPACE = {
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name: "bench-inject", labels: { "istio-injection": "enabled" } },
};

/** A pod of a Deployment in an enabled namespace, field for field as an API server sends it, with `REVIEW_FIELD` in it. */
export function buildReviewTemplate(): string {
  const { uid, volume, deployment } = REVIEW_FIELD;
  const pods = { group: "", version: "v1", resource: "pods" };
  const kind = { group: "", version: "v1", kind: "Pod" };
  return JSON.stringify({
    kind: "AdmissionReview",
    apiVersion: "admission.k8s.io/v1",
    request: {
      uid: `705ab4f5-6393-41e8-b7cc-${uid}`,
      kind,
      resource: pods,
      requestKind: kind,
      requestResource: pods,
      namespace: BENCH_NAMESPACE.metadata.name,
      operation: "CREATE",
      userInfo: {
        username: "system:serviceaccount:kube-system:replicaset-controller",
        uid: "0a0b8a5e-6c2e-4a0c-8d8a-2f6b1a0f7c11",
        groups: ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"],
      },
      object: buildPod(`reviews-${deployment}`, `0000${deployment}`, `kube-api-access-${volume}`),
      oldObject: null,
      dryRun: false,
      options: { kind: "CreateOptions", apiVersion: "meta.k8s.io/v1" },
    },
  });
}

const HASH = "55f4d9c879";
const settings = Array.from({ length: 10 }, (_, index) => ({ name: `SETTING_${index}`, value: `value-${index}` }));

function buildPod(name: string, ownerNumber: string, tokenVolume: string) {
  const ownerUid = `c7e0bd37-f791-4164-9195-${ownerNumber}`;
  const owner = { apiVersion: "apps/v1", kind: "ReplicaSet", name: `${name}-${HASH}`, uid: ownerUid };
  return {
    kind: "Pod",
    apiVersion: "v1",
    metadata: {
      generateName: `${name}-${HASH}-`,
      namespace: BENCH_NAMESPACE.metadata.name,
      labels: { app: name, "pod-template-hash": HASH, version: "v2" },
      annotations: { "sidecar.istio.io/proxyCPU": "50m", "traffic.sidecar.istio.io/excludeOutboundPorts": "3306" },
      ownerReferences: [{ ...owner, controller: true, blockOwnerDeletion: true }],
      managedFields: [buildManagedFields(ownerUid)],
    },
    spec: {
      volumes: [
        { name: "tmp", emptyDir: {} },
        { name: tokenVolume, projected: { sources: TOKEN_SOURCES, defaultMode: 420 } },
      ],
      containers: [
        {
          name: "reviews",
          image: "reviews:1.20.3",
          ports: [{ name: "http", containerPort: 9080, protocol: "TCP" }],
          env: settings,
          resources: { requests: { cpu: "100m", memory: "128Mi" } },
          volumeMounts: [
            { name: "tmp", mountPath: "/tmp" },
            { name: tokenVolume, readOnly: true, mountPath: "/var/run/secrets/kubernetes.io/serviceaccount" },
          ],
          livenessProbe: probe("/live"),
          readinessProbe: probe("/ready"),
          terminationMessagePath: "/dev/termination-log",
          terminationMessagePolicy: "File",
          imagePullPolicy: "IfNotPresent",
        },
      ],
      restartPolicy: "Always",
      terminationGracePeriodSeconds: 30,
      dnsPolicy: "ClusterFirst",
      serviceAccountName: "reviews",
      serviceAccount: "reviews",
      securityContext: {},
      schedulerName: "default-scheduler",
      tolerations: ["not-ready", "unreachable"].map((state) => ({
        key: `node.kubernetes.io/${state}`,
        operator: "Exists",
        effect: "NoExecute",
        tolerationSeconds: 300,
      })),
      priority: 0,
      enableServiceLinks: true,
      preemptionPolicy: "PreemptLowerPriority",
    },
    status: {},
  };
}

const TOKEN_SOURCES = [
  { serviceAccountToken: { expirationSeconds: 3607, path: "token" } },
  { configMap: { name: "kube-root-ca.crt", items: [{ key: "ca.crt", path: "ca.crt" }] } },
  {
    downwardAPI: {
      items: [{ path: "namespace", fieldRef: { apiVersion: "v1", fieldPath: "metadata.namespace" } }],
    },
  },
];

function probe(path: string) {
  return {
    httpGet: { path, port: "http", scheme: "HTTP" },
    timeoutSeconds: 1,
    periodSeconds: 10,
    successThreshold: 1,
    failureThreshold: 3,
  };
}

/** The larger part of what is known of a pod before it is made: which of its fields its controller set. */
function buildManagedFields(ownerUid: string) {
  const probeFields = {
    ...marked("", "failureThreshold", "periodSeconds", "successThreshold", "timeoutSeconds"),
    "f:httpGet": marked("", "path", "port", "scheme"),
  };
  const container = {
    ...marked("", "image", "imagePullPolicy", "name", "terminationMessagePath", "terminationMessagePolicy"),
    "f:env": { ...marked(""), ...keyed(settings, ({ name }) => ({ name }), marked("", "name", "value")) },
    "f:livenessProbe": probeFields,
    "f:ports": {
      ...marked(""),
      ...keyed(
        [{ containerPort: 9080, protocol: "TCP" }],
        (port) => port,
        marked("", "containerPort", "name", "protocol"),
      ),
    },
    "f:readinessProbe": probeFields,
    "f:resources": { ...marked(""), "f:requests": marked("", "cpu", "memory") },
    "f:volumeMounts": {
      ...marked(""),
      ...keyed([{ mountPath: "/tmp" }], (mount) => mount, marked("", "mountPath", "name")),
    },
  };
  return {
    manager: "kube-controller-manager",
    operation: "Update",
    apiVersion: "v1",
    time: "2026-01-01T00:00:00Z",
    fieldsType: "FieldsV1",
    fieldsV1: {
      "f:metadata": {
        "f:annotations": marked("", "sidecar.istio.io/proxyCPU", "traffic.sidecar.istio.io/excludeOutboundPorts"),
        ...marked("generateName"),
        "f:labels": marked("", "app", "pod-template-hash", "version"),
        "f:ownerReferences": { ...marked(""), ...keyed([{ uid: ownerUid }], (owner) => owner, {}) },
      },
      "f:spec": {
        "f:containers": keyed([{ name: "reviews" }], (named) => named, container),
        ...marked("dnsPolicy", "enableServiceLinks", "restartPolicy", "schedulerName", "securityContext"),
        ...marked("serviceAccount", "serviceAccountName", "terminationGracePeriodSeconds"),
        "f:volumes": {
          ...marked(""),
          ...keyed([{ name: "tmp" }], (named) => named, marked("", "emptyDir", "name")),
        },
      },
    },
  };
}

/** The empty name stands for the thing itself. */
function marked(...names: readonly string[]): Record<string, object> {
  return Object.fromEntries(names.map((name) => [name === "" ? "." : `f:${name}`, {}]));
}

function keyed<T>(items: readonly T[], key: (item: T) => object, fields: object): Record<string, object> {
  return Object.fromEntries(items.map((item) => [`k:${JSON.stringify(key(item))}`, fields]));
}
