import { APP_IMAGE, type ApplicableObject } from "./mesh-cluster.ts";

export interface AppOptions {
  readonly namespace: string;
  readonly name: string;
  /** Where several versions are one app. */
  readonly app?: string;
  readonly version?: string;
  readonly replicas?: number;
  readonly podLabels?: Readonly<Record<string, string>>;
  readonly container?: object;
  readonly podSpec?: object;
}

/** A pod's metadata and spec, whoever makes pods of it. */
export function podTemplate({ name, app = name, version = "v1", podLabels, container, podSpec }: AppOptions) {
  return {
    metadata: {
      labels: { app, version, ...podLabels },
      annotations: { "traffic.sidecar.istio.io/excludeInboundPorts": "9000" },
    },
    spec: {
      terminationGracePeriodSeconds: 10,
      containers: [
        {
          name: "app",
          image: APP_IMAGE,
          env: [{ name: "APP_NAME", value: name }],
          ports: [{ name: "http", containerPort: 8080 }],
          readinessProbe: { httpGet: { path: "/ready", port: "http" }, periodSeconds: 1, timeoutSeconds: 5 },
          ...container,
        },
      ],
      ...podSpec,
    },
  };
}

export function deployment(options: AppOptions): ApplicableObject {
  return workload("Deployment", options, { replicas: options.replicas ?? 1 });
}

export function workload(kind: "Deployment" | "StatefulSet" | "DaemonSet", options: AppOptions, spec: object = {}) {
  const { namespace, name, app = name, version = "v1" } = options;
  const selector = { matchLabels: { app, version } };
  return {
    apiVersion: "apps/v1",
    kind,
    metadata: { name, namespace },
    spec: { selector, template: podTemplate(options), ...spec },
  };
}

export function service(namespace: string, app: string): ApplicableObject {
  const ports = [{ name: "http", port: 80, targetPort: 8080 }];
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: app, namespace },
    ...{ spec: { selector: { app }, ports } },
  };
}
