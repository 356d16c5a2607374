import assert from "node:assert/strict";
import { test } from "node:test";
import type { Container, Lifecycle, Probe } from "./pod.ts";
import type { AppProber } from "./pod-contract.ts";
import { planProbes } from "./probes.ts";

const counted = {
  initialDelaySeconds: 3,
  periodSeconds: 4,
  timeoutSeconds: 2,
  successThreshold: 2,
  failureThreshold: 6,
};
const ports = [
  { name: "http", containerPort: 8080 },
  { name: "rpc", containerPort: 9000 },
];

const moved: readonly [title: string, probe: Probe, becomes: Probe["httpGet"], asked: AppProber][] = [
  [
    "an HTTP probe keeps its headers and leaves its path behind",
    { httpGet: { path: "/ready?deep=1", port: "http", httpHeaders: [{ name: "Host", value: "shop.example" }] } },
    { path: "/app-health/app/readyz", port: 15021, httpHeaders: [{ name: "Host", value: "shop.example" }] },
    { httpGet: { path: "/ready?deep=1", port: 8080, httpHeaders: [{ name: "Host", value: "shop.example" }] } },
  ],
  [
    "an HTTPS probe reaches the status port over HTTP",
    { httpGet: { port: 8443, scheme: "HTTPS" } },
    { path: "/app-health/app/readyz", port: 15021, scheme: "HTTP" },
    { httpGet: { port: 8443, scheme: "HTTPS" } },
  ],
  [
    "a TCP probe",
    { tcpSocket: { port: 6379 } },
    { path: "/app-health/app/readyz", port: 15021 },
    { tcpSocket: { port: 6379 } },
  ],
  [
    "a TCP probe of a named port",
    { tcpSocket: { port: "rpc" } },
    { path: "/app-health/app/readyz", port: 15021 },
    { tcpSocket: { port: 9000 } },
  ],
  [
    "a TCP probe of a port written as text",
    { tcpSocket: { port: "6379" } },
    { path: "/app-health/app/readyz", port: 15021 },
    { tcpSocket: { port: 6379 } },
  ],
  ["a gRPC probe", { grpc: { port: 9000 } }, { path: "/app-health/app/readyz", port: 15021 }, { grpc: { port: 9000 } }],
  [
    "a gRPC probe of a service",
    { grpc: { port: 9000, service: "shop.Cart" } },
    { path: "/app-health/app/readyz", port: 15021 },
    { grpc: { port: 9000, service: "shop.Cart" } },
  ],
];
for (const [title, handler, becomes, asked] of moved) {
  test(title, () => {
    const { rewrites, probers } = plan({ readinessProbe: { ...handler, ...counted } });
    assert.deepEqual(rewrites, [
      { container: "app", field: "readinessProbe", value: { httpGet: becomes, ...counted } },
    ]);
    // Envoy's own checks need the period as well.
    const timing = "httpGet" in asked ? { timeoutSeconds: 2 } : { timeoutSeconds: 2, periodSeconds: 4 };
    assert.deepEqual(probers, { "/app-health/app/readyz": { ...asked, ...timing } });
  });
}

test("what is null is not said", () => {
  const httpGet = { port: 80, path: null, host: null, scheme: null, httpHeaders: null };
  const { probers } = plan({
    ports: [{ containerPort: 80, name: null, protocol: null }],
    livenessProbe: { httpGet, tcpSocket: null, grpc: null, timeoutSeconds: null, periodSeconds: null },
    readinessProbe: { tcpSocket: { port: 80, host: null } },
    lifecycle: { postStart: null, preStop: { httpGet } },
  });
  assert.deepEqual(probers, {
    "/app-health/app/livez": { httpGet: { port: 80 } },
    "/app-health/app/readyz": { tcpSocket: { port: 80 } },
    "/app-lifecycle/app/prestopz": { httpGet: { port: 80 } },
  });
});

const untouched: Readonly<Record<string, Probe & { exec?: object }>> = {
  "an exec probe": { exec: { command: ["true"] } },
  "an HTTP probe of another host": { httpGet: { port: 80, host: "10.9.8.7" } },
  "an HTTP probe of a port nobody declares": { httpGet: { port: "nowhere" } },
  "an HTTP probe of the status port": { httpGet: { port: 15021 } },
  "a TCP probe of another host": { tcpSocket: { port: 80, host: "10.9.8.7" } },
  "a TCP probe of a port nobody declares": { tcpSocket: { port: "nowhere" } },
  "a gRPC probe of the status port": { grpc: { port: 15021 } },
  "an HTTP probe of a number that is no port": { httpGet: { port: 65_536 } },
  "an HTTP probe of such a number as text": { httpGet: { port: "70000" } },
  "a TCP probe of port 0": { tcpSocket: { port: 0 } },
  "a gRPC probe of a negative port": { grpc: { port: -1 } },
};
for (const [title, probe] of Object.entries(untouched)) {
  test(`${title} stays as it is`, () =>
    assert.deepEqual(plan({ livenessProbe: probe }), { rewrites: [], probers: {} }));
}

test("every kind of probe of every container that stays has a path of its own; the sidecar's own stay", () => {
  const probe: Probe = { tcpSocket: { port: 1 } };
  const all = { readinessProbe: probe, livenessProbe: probe, startupProbe: probe };
  const { probers } = planProbes({
    spec: {
      initContainers: [
        { name: "istio-proxy", restartPolicy: "Always", ...all },
        { name: "cache", restartPolicy: "Always", ...all },
      ],
      containers: [{ name: "app", ...all }],
    },
  });
  assert.deepEqual(Object.keys(probers), [
    ...["/app-health/cache/readyz", "/app-health/cache/livez", "/app-health/cache/startupz"],
    ...["/app-health/app/readyz", "/app-health/app/livez", "/app-health/app/startupz"],
  ]);
});

test("HTTP hooks are moved too, and the others stay beside them", () => {
  const lifecycle: Lifecycle & Record<string, unknown> = {
    postStart: { httpGet: { path: "/warm", port: "http", scheme: "HTTPS", httpHeaders: [{ name: "A", value: "b" }] } },
    preStop: { httpGet: { path: "drain", port: 8080 } },
  };
  const { rewrites, probers } = plan({ lifecycle });
  const headers = { httpHeaders: [{ name: "A", value: "b" }] };
  const postStart = { httpGet: { path: "/app-lifecycle/app/poststartz", port: 15021, scheme: "HTTP", ...headers } };
  const preStop = { httpGet: { path: "/app-lifecycle/app/prestopz", port: 15021 } };
  assert.deepEqual(rewrites, [{ container: "app", field: "lifecycle", value: { postStart, preStop } }]);
  assert.deepEqual(probers, {
    "/app-lifecycle/app/poststartz": { httpGet: { path: "/warm", port: 8080, scheme: "HTTPS", ...headers } },
    "/app-lifecycle/app/prestopz": { httpGet: { path: "drain", port: 8080 } },
  });

  const exec: Lifecycle["postStart"] & { exec: object } = { exec: { command: ["true"] } };
  const mixed = plan({ lifecycle: { postStart: exec, preStop: { httpGet: { port: 8080 } } } });
  const value = { postStart: exec, preStop: { httpGet: { path: "/app-lifecycle/app/prestopz", port: 15021 } } };
  assert.deepEqual(mixed.rewrites, [{ container: "app", field: "lifecycle", value }]);
  assert.deepEqual(plan({ lifecycle: { preStop: exec } }).rewrites, []);
});

function plan(fields: Omit<Container, "name">) {
  return planProbes({ spec: { containers: [{ name: "app", ports, ...fields }] } });
}
