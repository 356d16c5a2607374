import assert from "node:assert/strict";
import { test } from "node:test";
import type { MeshObject } from "../mesh/object.ts";
import { buildPodSet, type PodSet } from "./workloads.ts";

const template = { metadata: { labels: { app: "web" } }, spec: { containers: [{ name: "web", image: "web:1" }] } };

function object(kind: string, spec: object, metadata: object = {}): MeshObject & { spec: object } {
  return {
    apiVersion: "apps/v1",
    kind,
    metadata: { name: "web", namespace: "shop", labels: {}, annotations: {}, ...metadata },
    spec,
  };
}

function podSet(of: MeshObject): PodSet {
  const built = buildPodSet(of);
  assert.ok(built !== undefined && "buildPod" in built, `${of.kind} gives pods`);
  return built;
}

test("a Deployment's pod is named and owned as its ReplicaSet would name and own it", () => {
  const set = podSet(object("Deployment", { replicas: 3, template }));
  const pod = set.buildPod(undefined);
  assert.equal(set.replicas, 3);
  assert.equal(pod.metadata.name, undefined);
  assert.equal(pod.metadata.generateName, `web-${set.revision}-`);
  assert.deepEqual(pod.metadata.labels, { app: "web", "pod-template-hash": set.revision });
  assert.equal(pod.metadata.ownerReferences?.[0]?.kind, "ReplicaSet");
  assert.equal(pod.metadata.ownerReferences?.[0]?.name, `web-${set.revision}`);
  assert.match(set.revision, /^[a-z0-9]{10}$/);
});

test("the revision changes with the template, not with the number of replicas or the order of its fields", () => {
  const base = podSet(object("Deployment", { replicas: 1, template }));
  const scaled = podSet(object("Deployment", { replicas: 2, template }));
  const turned = podSet(object("Deployment", { template: { spec: template.spec, metadata: template.metadata } }));
  const changed = podSet(
    object("Deployment", { template: { ...template, spec: { containers: [{ name: "web", image: "web:2" }] } } }),
  );
  assert.equal(scaled.revision, base.revision);
  assert.equal(turned.revision, base.revision);
  assert.notEqual(changed.revision, base.revision);
});

test("a StatefulSet's pods have a number, a host name, and a claim of their own", () => {
  const claims = [{ metadata: { name: "data" } }];
  const set = podSet(object("StatefulSet", { replicas: 2, serviceName: "db", volumeClaimTemplates: claims, template }));
  const { metadata, spec } = set.buildPod(1);
  assert.equal(metadata.name, "web-1");
  assert.equal(spec.hostname, "web-1");
  assert.equal(spec.subdomain, "db");
  assert.deepEqual(spec.volumes, [{ name: "data", persistentVolumeClaim: { claimName: "data-web-1" } }]);
});

test("what the API server fills in is filled in", () => {
  const { spec } = podSet(object("Deployment", { template })).buildPod(undefined);
  assert.equal(spec.restartPolicy, "Always");
  assert.equal(spec.serviceAccountName, "default");
  assert.equal(spec.terminationGracePeriodSeconds, 30);
});

test("a DaemonSet has one pod, a Job as many as must complete, a bare Pod keeps its name", () => {
  assert.equal(podSet(object("DaemonSet", { template })).replicas, 1);
  const job = podSet(object("Job", { completions: 4, parallelism: 2, template }));
  assert.deepEqual([job.replicas, job.rollout], [4, { kind: "job", parallelism: 2, backoffLimit: 6 }]);
  assert.equal(job.buildPod(undefined).metadata.labels?.["job-name"], "web");
  assert.equal(podSet(object("Pod", template.spec)).buildPod(undefined).metadata.name, "web");
});

test("a pod that a controller owns is that controller's to run", () => {
  const owner = [{ apiVersion: "apps/v1", kind: "ReplicaSet", name: "web-1", controller: true }];
  assert.equal(buildPodSet(object("Pod", template.spec, { ownerReferences: owner })), undefined);
});

test("a controller with a wrong template is a finding that names the field", () => {
  const built = buildPodSet(object("Deployment", { template: { spec: { containers: [{ name: "web" }] } } }));
  assert.ok(built !== undefined && "severity" in built);
  assert.equal(built.code, "schema-invalid");
  assert.match(built.message, /Deployment shop\/web runs no pods: .*containers.*image/);
});

test("other kinds ask for no pods", () => {
  assert.equal(buildPodSet(object("Service", {})), undefined);
});

test("the bounds of a rolling update are numbers or shares of the replicas", () => {
  const rollout = (replicas: number, rollingUpdate?: object) =>
    podSet(object("Deployment", { replicas, template, strategy: { rollingUpdate } })).rollout;
  assert.deepEqual(rollout(10), { kind: "rolling", maxSurge: 3, maxUnavailable: 2 });
  assert.deepEqual(rollout(1), { kind: "rolling", maxSurge: 1, maxUnavailable: 0 });
  assert.deepEqual(rollout(4, { maxSurge: 0, maxUnavailable: 1 }), { kind: "rolling", maxSurge: 0, maxUnavailable: 1 });
  assert.deepEqual(podSet(object("Deployment", { template, strategy: { type: "Recreate" } })).rollout, {
    kind: "recreate",
  });
});
