import assert from "node:assert/strict";
import { test } from "node:test";
import { buildEnvironment, type ConfigLookup, expand } from "./environment.ts";
import { parsePod } from "./pod.ts";
import type { RunningPod } from "./running-pod.ts";

const lookup: ConfigLookup = {
  configMap: (namespace, name) =>
    namespace === "shop" && name === "settings" ? new Map([["color", Buffer.from("red")]]) : undefined,
  secret: (_, name) => (name === "keys" ? new Map([["pin", Buffer.from("1234")]]) : undefined),
};

function environmentOf(container: object): Map<string, string> {
  const manifest = parsePod({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace: "shop", labels: { app: "web" }, annotations: { "a/b": "c" } },
    spec: { serviceAccountName: "web", containers: [{ name: "web", image: "web", ...container }] },
  });
  const pod: RunningPod = {
    manifest,
    name: "web-1",
    namespace: "shop",
    uid: "u-1",
    ip: "10.88.0.10",
    node: { name: "n", ip: "10.88.0.1" },
  };
  const [first] = manifest.spec.containers;
  assert.ok(first !== undefined);
  return buildEnvironment(pod, first, { PATH: "/bin", FROM_IMAGE: "yes" }, lookup);
}

test("$(NAME) is replaced, $$ is a dollar, an unknown name stays as it is", () => {
  const env = new Map([["A", "1"]]);
  assert.equal(expand("$(A)-$(B)-$$(A)-$A", env), "1-$(B)-$(A)-$A");
});

test("a variable sees those before it and not those behind it", () => {
  const env = environmentOf({
    env: [
      { name: "EARLY", value: "$(LATE)" },
      { name: "LATE", value: "x" },
      { name: "BOTH", value: "$(LATE)$(FROM_IMAGE)" },
    ],
  });
  assert.equal(env.get("EARLY"), "$(LATE)");
  assert.equal(env.get("BOTH"), "xyes");
});

test("fields of the pod, ConfigMaps and Secrets become variables", () => {
  const field = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } });
  const env = environmentOf({
    resources: { limits: { memory: "64Mi", cpu: "1500m" } },
    envFrom: [{ prefix: "CFG_", configMapRef: { name: "settings" } }, { secretRef: { name: "none", optional: true } }],
    env: [
      field("IP", "status.podIP"),
      field("NAME", "metadata.name"),
      field("LABEL", "metadata.labels['app']"),
      field("ANNOTATION", "metadata.annotations['a/b']"),
      field("ACCOUNT", "spec.serviceAccountName"),
      { name: "PIN", valueFrom: { secretKeyRef: { name: "keys", key: "pin" } } },
      { name: "NONE", valueFrom: { secretKeyRef: { name: "keys", key: "other", optional: true } } },
      { name: "CPU", valueFrom: { resourceFieldRef: { resource: "limits.cpu" } } },
      { name: "MEMORY", valueFrom: { resourceFieldRef: { resource: "limits.memory", divisor: "1Mi" } } },
    ],
  });
  const wanted = {
    PATH: "/bin",
    FROM_IMAGE: "yes",
    CFG_color: "red",
    IP: "10.88.0.10",
    NAME: "web-1",
    LABEL: "web",
    ANNOTATION: "c",
    ACCOUNT: "web",
    PIN: "1234",
    CPU: "2",
    MEMORY: "64",
  };
  assert.deepEqual(Object.fromEntries(env), wanted);
});

test("a missing ConfigMap, Secret or key is named", () => {
  const from = (valueFrom: object) => environmentOf({ env: [{ name: "A", valueFrom }] });
  assert.throws(
    () => from({ configMapKeyRef: { name: "settings", key: "size" } }),
    /ConfigMap settings has no key size/,
  );
  assert.throws(() => from({ fieldRef: { fieldPath: "status.color" } }), /unknown downward API field status.color/);
  assert.throws(() => environmentOf({ envFrom: [{ secretRef: { name: "none" } }] }), /Secret none not found/);
});
