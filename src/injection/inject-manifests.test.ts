import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAllDocuments } from "yaml";
import { injectManifests } from "./inject-manifests.ts";
import { defaultInjectionConfig } from "./injection-config.ts";

const inject = (text: string) => injectManifests(text, "shop", defaultInjectionConfig);

test("documents that make no pods keep every byte, the others their comments", () => {
  const service = "# the front door\napiVersion: v1\nkind:   Service   # odd spacing\nmetadata: {name: web}\n";
  const deployment = `---
# runs the page
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web # its name
spec:
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
        # the only one
        - name: app
          image: web
`;
  const rest =
    "---\n# nothing here\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  text: |\n    a\n     --- b\n";
  const { text, skipped } = inject(service + deployment + rest);
  assert.ok(text.startsWith(service));
  assert.ok(text.endsWith(rest));
  for (const comment of ["# runs the page", "name: web # its name", "# the only one"])
    assert.ok(text.includes(comment));
  assert.deepEqual(skipped, []);
  const { spec } = parseAllDocuments(text)[1]?.toJS() ?? {};
  assert.deepEqual(
    spec.template.spec.initContainers.map(({ name }: { name: string }) => name),
    ["istio-init", "istio-proxy"],
  );
  assert.equal(spec.template.metadata.labels["service.istio.io/canonical-name"], "web");
  assert.deepEqual(spec.template.spec.containers, [{ name: "app", image: "web" }]);
});

const pod = { spec: { containers: [{ name: "app" }], initContainers: [{ name: "first" }] } };
const kinds = [
  { kind: "Pod", ...pod },
  ...["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"].map((kind) => ({ kind, spec: { template: pod } })),
  { kind: "CronJob", spec: { jobTemplate: { spec: { template: pod } } } },
];
for (const manifest of kinds) {
  test(`${manifest.kind} gets its sidecar, as JSON and as YAML`, () => {
    const written = { apiVersion: "x/v1", metadata: { name: "one" }, ...manifest };
    const asJson = inject(JSON.stringify(written)).text;
    assert.match(JSON.stringify(JSON.parse(asJson)), /"initContainers":\[\{"name":"istio-init".*\{"name":"first"\}/);
    const asYaml = parseAllDocuments(inject(`# yaml\n${JSON.stringify(written, null, 2)}`).text)[0]?.toJS();
    assert.deepEqual(asYaml, JSON.parse(asJson));
  });
}

test("the items of a List are manifests", () => {
  const items = [
    { apiVersion: "v1", kind: "Pod", ...pod },
    { apiVersion: "v1", kind: "Secret" },
  ];
  const { text } = inject(JSON.stringify({ apiVersion: "v1", kind: "List", items }));
  const [first, second] = JSON.parse(text).items;
  assert.equal(first.spec.initContainers.length, 3);
  assert.deepEqual(second, items[1]);
});

test("what is not injected is printed as it was, and named with the reason", () => {
  const text = `apiVersion: v1\nkind: Pod\nmetadata: {name: raw, namespace: kube-system}\nspec: {containers: [{name: a}]}\n`;
  assert.deepEqual(inject(text), {
    text,
    skipped: [{ workload: "Pod kube-system/raw", message: "Pods in namespace kube-system are never injected." }],
  });
});

test("injecting twice is injecting once", () => {
  const once = inject("apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\nspec:\n  containers:\n    - name: a\n").text;
  assert.equal(inject(once).text, once);
});

test("what cannot be read is refused, naming the document", () => {
  const good = "apiVersion: v1\nkind: Pod\nspec: {containers: [{name: a}]}\n";
  assert.throws(() => inject(`${good}---\na: [`), /^TrysailError: document 2: /);
  assert.throws(() => inject(`${good}---\napiVersion: apps/v1\nkind: Job\n`), /document 2: not a valid Pod/);
  assert.throws(() => inject("a: *nowhere\n"), /document 1: /);
});

test("what is no manifest is printed as it was", () => {
  for (const text of ["", "\n", "just text\n", "- a\n- list\n", "a: 1\n", "null\n"])
    assert.equal(inject(text).text, text);
});
