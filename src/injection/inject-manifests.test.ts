import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseAllDocuments, stringify } from "yaml";
import { injectManifests } from "./inject-manifests.ts";
import { defaultInjectionConfig } from "./injection-config.ts";
import { manifestTags } from "./manifest-tags.ts";

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
  const { text, decisions } = inject(service + deployment + rest);
  assert.ok(text.startsWith(service));
  assert.ok(text.endsWith(rest));
  for (const comment of ["# runs the page", "name: web # its name", "# the only one"])
    assert.ok(text.includes(comment));
  assert.deepEqual(
    decisions.map(({ document, object, outcome }) => [document, object, outcome]),
    [
      [1, "Service shop/web", "ignored"],
      [2, "Deployment shop/web", "injected"],
      [4, "ConfigMap shop/c", "ignored"],
    ],
  );
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
  { apiVersion: "v1", kind: "Pod", ...pod },
  ...[
    "v1 ReplicationController",
    "apps/v1 DaemonSet",
    "apps/v1 Deployment",
    "apps/v1 ReplicaSet",
    "apps/v1 StatefulSet",
    "apps/v1beta2 Deployment",
    "extensions/v1beta1 Deployment",
    "batch/v1 Job",
    "apps.openshift.io/v1 DeploymentConfig",
    "argoproj.io/v1alpha1 Rollout",
    "serving.knative.dev/v1 Configuration",
    "serving.knative.dev/v1 Service",
  ].map((name) => {
    const [apiVersion = "", kind = ""] = name.split(" ");
    return { apiVersion, kind, spec: { template: pod } };
  }),
  { apiVersion: "batch/v1", kind: "CronJob", spec: { jobTemplate: { spec: { template: pod } } } },
];
for (const manifest of kinds) {
  test(`${manifest.apiVersion} ${manifest.kind} gets its sidecar, as JSON and as YAML`, () => {
    const written = { metadata: { name: "one" }, ...manifest };
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
    decisions: [
      {
        document: 1,
        object: "Pod kube-system/raw",
        outcome: "skipped",
        code: "namespace-ignored",
        message: "Pods in namespace kube-system are never injected.",
      },
    ],
  });
});

test("injecting twice is injecting once", () => {
  const once = inject("apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\nspec:\n  containers:\n    - name: a\n").text;
  assert.equal(inject(once).text, once);
});

test("what cannot be read is refused, naming the document", () => {
  const good = "apiVersion: v1\nkind: Pod\nspec: {containers: [{name: a}]}\n";
  assert.throws(() => inject(`${good}---\na: [`), /^TrysailError: document 2: /);
  assert.throws(() => inject(`${good}---\na: 1\na: 2\n`), /document 2: line 3: Map keys must be unique/);
  assert.throws(() => inject("a: *nowhere\n"), /document 1: /);
  const secret = 'kind: Secret\nstringData: { password: "hunter2\n';
  assert.throws(
    () => inject(secret),
    (error: Error) => !error.message.includes("hunter2"),
  );
});

test("what is no manifest is printed as it was", () => {
  for (const text of ["", "\n", "just text\n", "- a\n- list\n", "a: 1\n", "null\n"])
    assert.equal(inject(text).text, text);
});

test("an object that is to be injected and cannot be is named, and the others are injected", () => {
  const job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\nspec: {template: {spec: {}}}\n";
  const { text, decisions } = inject(`${job}---\napiVersion: v1\nkind: Pod\nspec: {containers: [{name: a}]}\n`);
  assert.deepEqual(
    decisions.map(({ object, outcome, code }) => [object, outcome, code]),
    [
      ["Job shop/j", "refused", "refused"],
      ["Pod shop/", "injected", "injected"],
    ],
  );
  assert.match(decisions[0]?.message ?? "", /not a valid Pod: spec must have required properties containers/);
  assert.ok(text.startsWith(job));
});

test("a workload whose pods are described elsewhere is left as it is, and so is a Service of Kubernetes", () => {
  const rollout =
    "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: r}\nspec: {workloadRef: {name: d}}\n";
  const service = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {template: {}}\n";
  const { text, decisions } = inject(`${rollout}---\n${service}`);
  assert.equal(text, `${rollout}---\n${service}`);
  assert.deepEqual(
    decisions.map(({ code }) => code),
    ["no-template", "makes-no-pods"],
  );
});

test("what was written stays: comments beside their containers, keys in their order, indentation and quotes", () => {
  const written = `# head
apiVersion: apps/v1
kind: Deployment
metadata:
  name: 'web'   # quoted

spec:
  replicas: 0x3
  template:
    metadata:
      annotations: {}
      labels: {app: web}
    # about the pod
    spec:
      initContainers:
      # fetches the data
      - name: fetch
        image: "fetch" # by hand
      - name: check
        image: check
      containers:
      - {name: app, image: web}
      terminationGracePeriodSeconds: 5
# tail
`;
  const { text } = inject(written);
  const kept = written.split("\n").filter((line) => !/labels:|annotations:|initContainers:/.test(line));
  const lines = text.split("\n").map((line) => line.replace(/ +#/, " #"));
  let at = 0;
  for (const line of kept) {
    at = lines.indexOf(line.replace(/ +#/, " #"), at) + 1;
    assert.notEqual(at, 0, `${JSON.stringify(line)} is missing or moved in\n${text}`);
  }
  const { spec } = parseAllDocuments(text)[0]?.toJS() ?? {};
  assert.deepEqual(
    spec.template.spec.initContainers.map(({ name }: { name: string }) => name),
    ["istio-init", "istio-proxy", "fetch", "check"],
  );
  assert.match(text, /# fetches the data\n +- name: fetch/);
  assert.match(text, /labels: \{app: web, /);
});

test("anchors and merged mappings come out meaning what they should", () => {
  const written = `apiVersion: v1
kind: List
items:
  - apiVersion: apps/v1
    kind: Deployment
    metadata: {name: one}
    spec:
      template: &template
        metadata: &metadata
          labels: {app: shared}
        spec:
          containers:
            - &app {name: app, image: web}
  - apiVersion: apps/v1
    kind: Deployment
    metadata: {name: two}
    spec:
      template: *template
  - apiVersion: v1
    kind: Pod
    metadata: {<<: *metadata, name: three, namespace: kube-system}
    spec: {containers: [*app]}
`;
  const [one, two, three] = parseAllDocuments(inject(written).text, { merge: true }).flatMap(
    (document) => document.toJS().items,
  );
  for (const [manifest, name] of [
    [one, "one"],
    [two, "two"],
  ]) {
    assert.equal(manifest.metadata.name, name);
    const { metadata, spec } = manifest.spec.template;
    assert.equal(spec.initContainers.length, 2);
    assert.ok(JSON.stringify(spec).includes(`deployments/${name}`));
    assert.equal(metadata.labels.app, "shared");
  }
  assert.deepEqual(three.metadata, { labels: { app: "shared" }, name: "three", namespace: "kube-system" });
  assert.deepEqual(three.spec, { containers: [{ name: "app", image: "web" }] });
});

test("a key that is the text << stays one, and is no order to merge", () => {
  const written = `apiVersion: v1
kind: Pod
metadata: {name: p, annotations: {"<<": x}}
spec:
  '<<': false
  x: {"<<": {a: 1}}
  containers:
    - {name: app, "<<": {image: web}}
    - &shared {name: other, image: web}
    - {<<: *shared, name: third}
`;
  const { text } = inject(written);
  const { metadata, spec } = parseAllDocuments(text, { merge: true })[0]?.toJS() ?? {};
  assert.equal(metadata.annotations["<<"], "x");
  assert.deepEqual([spec["<<"], spec.x], [false, { "<<": { a: 1 } }]);
  assert.deepEqual(spec.containers, [
    { name: "app", "<<": { image: "web" } },
    { name: "other", image: "web" },
    { name: "third", image: "web" },
  ]);
  assert.match(text, /<<: \*shared/, "one that is an order stays so");
  assert.equal(inject(text).text, text);
});

test("a bomb of aliases is refused", () => {
  const levels = Array.from(
    { length: 30 },
    (_, level) => `b${level}: &b${level} [${`*b${level - 1},`.repeat(level === 0 ? 0 : 9)}1]`,
  );
  assert.throws(() => inject(`${levels.join("\n")}\n`), /document 1: .*alias/);
});

test("JSON keeps its indentation, and a document in braces with comments stays YAML", () => {
  const manifest = { apiVersion: "v1", kind: "Pod", spec: { containers: [{ name: "a" }] } };
  assert.match(inject(JSON.stringify(manifest, null, 4)).text, /^\{\n {4}"apiVersion"/);
  const { text } = inject("{apiVersion: v1, kind: Pod, # a pod\n spec: {containers: [{name: a}]}}\n");
  assert.match(text, /# a pod/);
  assert.equal(parseAllDocuments(text)[0]?.toJS().spec.initContainers.length, 2);
});

test("whatever a pod holds and however it is written, the same comes out, and a second time nothing changes", () => {
  const name = fc.stringMatching(/^[a-z]{1,8}$/);
  const key = fc.oneof(fc.stringMatching(/^x[a-zA-Z<&*:#-]{0,6}$/), fc.constant("<<"));
  const extra = fc.dictionary(key, fc.jsonValue({ maxDepth: 3 }), { maxKeys: 3 });
  const container = fc
    .record({ name, image: fc.string(), extra })
    .map(({ extra: fields, ...rest }) => ({ ...fields, ...rest }));
  const containers = (minLength: number) =>
    fc.uniqueArray(container, { minLength, maxLength: 3, selector: (item) => item.name });
  const spec = fc.record({ containers: containers(1), initContainers: containers(0), extra });
  fc.assert(
    fc.property(spec, fc.boolean(), fc.constantFrom(2, 4), ({ extra: fields, ...rest }, indentSeq, indent) => {
      const written = { apiVersion: "v1", kind: "Pod", metadata: { name: "p" }, spec: { ...fields, ...rest } };
      const manifest: unknown = JSON.parse(JSON.stringify(written));
      const expected = JSON.parse(inject(JSON.stringify(manifest)).text);
      const options = { indentSeq, indent, aliasDuplicateObjects: false, customTags: manifestTags };
      const { text } = inject(stringify(manifest, options));
      assert.deepEqual(parseAllDocuments(text, { merge: true })[0]?.toJS(), expected);
      assert.equal(inject(text).text, text);
    }),
    { numRuns: 200 },
  );
});

test("a Knative Service whose containers have no names gets those that Knative would give", () => {
  const knative = (containers: string) => `apiVersion: serving.knative.dev/v1
kind: Service
metadata:
  name: web
spec:
  template:
    spec:
      containers:
${containers}`;
  const containersOf = (text: string) => parseAllDocuments(text)[0]?.toJS().spec.template.spec.containers;
  const one = inject(knative("        # the only one\n        - image: web # pinned\n"));
  assert.deepEqual(
    one.decisions.map(({ code }) => code),
    ["injected"],
  );
  assert.deepEqual(containersOf(one.text), [{ image: "web", name: "user-container" }]);
  for (const comment of ["# the only one", "image: web # pinned"]) assert.ok(one.text.includes(comment));
  assert.equal(inject(one.text).text, one.text);

  const several = inject(
    knative("        - image: a\n        - {image: b, name: user-container-0}\n        - image: c\n"),
  );
  assert.deepEqual(
    containersOf(several.text).map(({ name }: { name: string }) => name),
    ["user-container-1", "user-container-0", "user-container-2"],
  );
  assert.deepEqual(
    inject(
      knative("        - image: a\n").replace("serving.knative.dev/v1\nkind: Service", "apps/v1\nkind: Deployment"),
    ).decisions.map(({ code }) => code),
    ["refused"],
  );
});

test("what is added is written out, without anchors that nobody wrote", () => {
  for (const sidecar of ["true", "false"]) {
    const annotations = { "sidecar.istio.io/nativeSidecar": sidecar };
    const written = { apiVersion: "v1", kind: "Pod", metadata: { name: "a", annotations }, ...pod };
    for (const collectionStyle of ["block", "flow"] as const) {
      const { text } = inject(stringify(written, { collectionStyle }));
      assert.match(text, /istio-proxy/);
      assert.doesNotMatch(text, /[:-] [&*][a-z]/);
    }
  }
});
