import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { parseAllDocuments } from "yaml";
import {
  type AccessRule,
  type RequiredAccess,
  requiredAccess,
  type SignerRoles,
  signerAccess,
  statusAccess,
} from "../../src/control-plane/required-access.ts";
import { signersIn } from "../../src/operations/check/deployed-flags.ts";
import { helmMissing } from "../support/helm.ts";
import { only, renderChart } from "./rendered.ts";

const skip = helmMissing;

/** One line for each verb on each resource, whatever rules they are grouped in. */
function accessIn(rules: readonly AccessRule[]): readonly string[] {
  const lines = rules.flatMap(({ apiGroups, resources, resourceNames = ["*"], verbs }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) =>
        resourceNames.flatMap((name) => verbs.map((verb) => `${verb} ${resource}.${group} ${name}`)),
      ),
    ),
  );
  return [...new Set(lines)].sort();
}

function withStatus({ cluster, own }: RequiredAccess): RequiredAccess {
  return { cluster: [...cluster, ...statusAccess.cluster], own: [...own, ...statusAccess.own] };
}

for (const revision of ["default", "canary"]) {
  test(`the chart's roles of revision ${revision} are what the program needs, and no more`, { skip }, async () => {
    const objects = await renderChart({ revision });
    const { cluster, own } = withStatus(requiredAccess(revision));
    assert.deepEqual(accessIn(only(objects, "ClusterRole").rules), accessIn(cluster));
    assert.deepEqual(accessIn(only(objects, "Role").rules), accessIn(own));
  });
}

test("Secrets of the namespaces that the values name may be read, and of no others", { skip }, async () => {
  const objects = await renderChart({ "credentials.namespaces": ["shop", "bank"] });
  const roles = objects.filter(({ kind, metadata }) => kind === "Role" && metadata.name === "trysail-credentials");
  assert.deepEqual(
    roles.map(({ metadata, rules }) => [metadata.namespace, accessIn(rules)]),
    ["shop", "bank"].map((namespace) => [namespace, ["list secrets. *", "watch secrets. *"]]),
  );
  const bindings = objects.filter(
    ({ kind, metadata }) => kind === "RoleBinding" && metadata.name === "trysail-credentials",
  );
  assert.deepEqual(
    bindings.map(({ metadata, subjects }) => [metadata.namespace, subjects[0].name, subjects[0].namespace]),
    ["shop", "bank"].map((namespace) => [namespace, "trysail", "trysail-system"]),
  );
  const { cluster } = withStatus(requiredAccess("default"));
  assert.deepEqual(accessIn(only(objects, "ClusterRole").rules), accessIn(cluster));
  const everywhere = await renderChart({ "credentials.namespaces": ["*"] });
  const secrets = { apiGroups: [""], resources: ["secrets"], verbs: ["list", "watch"] };
  assert.deepEqual(accessIn(only(everywhere, "ClusterRole").rules), accessIn([...cluster, secrets]));
});

test("a control plane that writes no status may not", { skip }, async () => {
  const objects = await renderChart({ "status.enabled": false });
  const { cluster, own } = requiredAccess("default");
  assert.deepEqual(accessIn(only(objects, "ClusterRole").rules), accessIn(cluster));
  assert.deepEqual(accessIn(only(objects, "Role").rules), accessIn(own));
  const [{ args }] = only(objects, "Deployment").spec.template.spec.containers;
  assert.ok(args.includes("--no-status"), args.join(" "));
});

const roots = { kind: "configmaps", name: "corp-roots" } as const;
const signerValues: readonly [title: string, values: Readonly<Record<string, string | boolean>>, roles: SignerRoles][] =
  [
    [
      "signs requests that it approves",
      { "certificateRequests.signerName": "trysail.dev/workload" },
      { certificateRequests: { signerName: "trysail.dev/workload", approves: true }, externalSigner: null },
    ],
    [
      "signs requests that others approve",
      { "certificateRequests.signerName": "trysail.dev/workload", "certificateRequests.approval": "manual" },
      { certificateRequests: { signerName: "trysail.dev/workload", approves: false }, externalSigner: null },
    ],
    ...[true, false].map((approves): [string, Record<string, string | boolean>, SignerRoles] => [
      `has a signer elsewhere sign what ${approves ? "it approves" : "others approve"}`,
      {
        "externalSigner.signerName": "corp.example/mesh",
        "externalSigner.roots": "configmaps/corp-roots",
        "externalSigner.approve": approves,
      },
      { certificateRequests: null, externalSigner: { signerName: "corp.example/mesh", approves, roots } },
    ]),
  ];
for (const [title, values, roles] of signerValues) {
  test(`a control plane that ${title} may do that besides, as \`trysail check\` asks`, { skip }, async () => {
    const objects = await renderChart(values);
    const { cluster, own } = withStatus(requiredAccess("default"));
    const more = signerAccess(roles);
    assert.deepEqual(accessIn(only(objects, "ClusterRole").rules), accessIn([...cluster, ...more.cluster]));
    assert.deepEqual(accessIn(only(objects, "Role").rules), accessIn([...own, ...more.own]));
    assert.deepEqual(signersIn(only(objects, "Deployment").spec), roles);
  });
}

test("docs/kubernetes.md shows the roles that the program needs", () => {
  const text = readFileSync(new URL("../../docs/kubernetes.md", import.meta.url), "utf8");
  const [, yaml = ""] =
    /```yaml\n(apiVersion: rbac\S+\nkind: ClusterRole\nmetadata:\n {2}name: trysail\n[\s\S]*?)```/.exec(text) ?? [];
  const [clusterRole, role] = parseAllDocuments(yaml).map((document) => document.toJS());
  const { cluster, own } = withStatus(requiredAccess("default"));
  assert.deepEqual(accessIn(clusterRole.rules), accessIn(cluster));
  assert.deepEqual(accessIn(role.rules), accessIn(own));
});
