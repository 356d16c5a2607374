import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Registry } from "prom-client";
import { parseAllDocuments } from "yaml";
import { startLeaderDuties } from "../../src/control-plane/leader-duties.ts";
import { createStatusParts } from "../../src/control-plane/status-parts.ts";
import { buildInjectionWebhooks, buildValidationWebhooks } from "../../src/control-plane/webhook-configurations.ts";
import { createEventRecorder } from "../../src/kubernetes/event-recorder.ts";
import { createKubernetesSource } from "../../src/kubernetes/kubernetes-source.ts";
import { createSnapshotBuilder } from "../../src/mesh/snapshot.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { createLog } from "../../src/platform/log.ts";
import { systemRandom } from "../../src/platform/random.ts";
import { until } from "../support/until.ts";
import { create } from "./create.ts";
import { everyIstioKind, installIstioKinds } from "./istio-crds.ts";
import { findKubernetes } from "./programs.ts";
import { podClient } from "./service-account.ts";
import { startKubernetes } from "./start-kubernetes.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : false;
const RBAC = "/apis/rbac.authorization.k8s.io/v1";
const VIRTUAL_SERVICES = "/apis/networking.istio.io/v1/namespaces/default/virtualservices";
const REGISTRATION = "/apis/admissionregistration.k8s.io/v1";

/** The ClusterRole and the Role as docs/kubernetes.md shows them. */
function documentedRoles(): readonly { kind: string; metadata: { name: string }; rules: object[] }[] {
  const text = readFileSync(new URL("../../docs/kubernetes.md", import.meta.url), "utf8");
  const [, yaml = ""] =
    /```yaml\n(apiVersion: rbac\S+\nkind: ClusterRole\nmetadata:\n {2}name: trysail\n[\s\S]*?)```/.exec(text) ?? [];
  return parseAllDocuments(yaml).map((document) => document.toJS());
}

test("the documented roles are enough, and nothing is denied", { skip, timeout: 180_000 }, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, { ...found.programs, controllerManager: null });
  await installIstioKinds(kubernetes, everyIstioKind);
  const [clusterRole, role] = documentedRoles();
  assert.deepEqual([clusterRole?.kind, role?.kind], ["ClusterRole", "Role"]);
  const client = await podClient(t, kubernetes, { name: "trysail", rules: [] });
  await client.setRules(clusterRole?.rules ?? []);
  const own = `${RBAC}/namespaces/trysail-system`;
  await create(kubernetes, `${own}/roles`, role ?? {});
  await create(kubernetes, `${own}/rolebindings`, {
    metadata: { name: "trysail" },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "trysail" },
    subjects: [{ kind: "ServiceAccount", name: "trysail", namespace: "trysail-system" }],
  });
  const options = {
    ...{ revision: "default", revisionTags: [], enableNamespacesByDefault: false, systemNamespace: "trysail-system" },
    ...{ ignoredNamespaces: ["trysail-system"], caBundlePem: "", timeoutSeconds: 1 },
    failurePolicy: "Ignore",
    target: { service: { name: "trysail", namespace: "trysail-system", port: 15017 } },
  } as const;
  await create(kubernetes, `${REGISTRATION}/mutatingwebhookconfigurations`, buildInjectionWebhooks(options));
  await create(kubernetes, `${REGISTRATION}/validatingwebhookconfigurations`, buildValidationWebhooks(options));
  await create(kubernetes, VIRTUAL_SERVICES, {
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: { name: "web" },
    spec: { hosts: ["web.test"], http: [{ directResponse: { status: 200 } }] },
  });
  await until("the role to hold", () => client.list("/api/v1/services").next());

  const warnings: string[] = [];
  const log = createLog("warn", { write: (line) => warnings.push(line) });
  const common = { clock: systemClock, random: systemRandom, log };
  const source = createKubernetesSource({ client, ...common });
  t.after(() => source.stop());
  await source.start();
  const events = createEventRecorder({ client, ...common, instance: "trysail-0" });
  t.after(() => events.stop());
  const mesh = createSnapshotBuilder("cluster.local").build(source.current());
  const bundle = "-----BEGIN CERTIFICATE-----\n";
  const unmeshed = [{ namespace: "shop", pod: "web", createdAt: null }];
  // Of a pod that has gone, so that it need not run out.
  const left = { holderIdentity: "trysail-9_0123456789abcdef", leaseDurationSeconds: 3600 };
  await create(kubernetes, "/apis/coordination.k8s.io/v1/namespaces/trysail-system/leases", {
    ...{ apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata: { name: "trysail-leader" }, spec: left },
  });
  const follower = statusesOf("trysail-1");
  const leader = statusesOf("trysail-0");
  const duties = startLeaderDuties({
    ...{ kubernetes: client, events, ...common, instance: "trysail-0", isPod: true, revision: "default" },
    systemNamespace: "trysail-system",
    trustBundlePem: () => bundle,
    rootCertificateMaps: ["trysail-ca-root-cert"],
    mesh: () => mesh,
    unmeshed: () => unmeshed,
    findings: () => [],
    ...(leader.write !== undefined && { writeStatuses: leader.write }),
  });
  t.after(() => duties.stop());
  await until("a leader, or a refusal", () => warnings.length > 0 || duties.isLeader());
  const regarding = { apiVersion: "v1", kind: "Namespace", namespace: "", name: "trysail-system" };
  const event = { regarding, type: "Normal", reason: "Tried", action: "Try", note: "A test." } as const;
  events.record(event);
  await until("an Event", async () => {
    const { body } = await kubernetes.call("GET", "/apis/events.k8s.io/v1/namespaces/default/events");
    return body.items.some(({ reason }: { reason: string }) => reason === "Tried");
  });
  await until("the leader's patches, or a refusal", async () => {
    const { body } = await kubernetes.call("GET", `${REGISTRATION}/mutatingwebhookconfigurations`);
    return warnings.length > 0 || body.items[0].webhooks[0].clientConfig.caBundle !== undefined;
  });
  await until("statuses, or a refusal", async () => {
    const { body } = await kubernetes.call("GET", VIRTUAL_SERVICES);
    return warnings.length > 0 || body.items[0].status?.observedGeneration === 1;
  });
  const reports = async (): Promise<string[]> => {
    const { body } = await kubernetes.call("GET", "/api/v1/namespaces/trysail-system/configmaps");
    const names = body.items.map(({ metadata }: { metadata: { name: string } }) => metadata.name);
    return names.filter((name: string) => name.startsWith("trysail-status-"));
  };
  const [report] = await until("the other's report", async () => (await reports()).length === 1 && reports());
  assert.match(report ?? "", /^trysail-status-trysail-1-/);
  await follower.stop();
  assert.deepEqual(await reports(), []);
  assert.deepEqual(source.current().findings, []);
  // The API server does not take this for a certificate; what counts here is that it was allowed to be written.
  assert.deepEqual(
    warnings.filter((line) => /forbidden|permission-denied|may not/.test(line)),
    [],
  );

  function statusesOf(instance: string) {
    const statuses = createStatusParts({
      serve: { systemNamespace: "trysail-system", writeStatus: true },
      platform: { ...common, registry: new Registry() },
      ...{ kubernetes: client, cluster: source, instance, revision: "default" },
      config: () => mesh.config,
      progress: () => [],
    });
    t.after(() => statuses.stop());
    statuses.meshChanged(source.current().objects);
    statuses.setFindings([], source.current().objects);
    return statuses;
  }
});
