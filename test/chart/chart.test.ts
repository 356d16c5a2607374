import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { parse } from "yaml";
import {
  buildInjectionWebhooks,
  buildValidationWebhooks,
  type WebhookOptions,
} from "../../src/control-plane/webhook-configurations.ts";
import { parseInjectionConfig } from "../../src/injection/parse-injection-config.ts";
import { readKinds } from "../../src/kubernetes/read-kinds.ts";
import { NO_NETWORKS, parseMeshNetworks } from "../../src/mesh/mesh-networks.ts";
import { groupOf } from "../../src/mesh/schemas.ts";
import { CHART, GATEWAY_CHART, helm, helmMissing, RATE_LIMIT_CHART } from "../support/helm.ts";
import { temporaryPath } from "../support/state.ts";
import { assertValuesDocumented } from "./documented-values.ts";
import { only, type RenderedObject, renderChart, renderRelease } from "./rendered.ts";

const skip = helmMissing;
const PROGRAM = fileURLToPath(new URL("../../src/cli/trysail.ts", import.meta.url));
const IN_MEMORY = { inMemory: true, replicas: 1 };

test("Helm finds nothing to complain about", { skip }, async () => {
  const said = await helm("lint", "--strict", "--namespace=trysail-system", CHART);
  assert.match(said, /1 chart\(s\) linted, 0 chart\(s\) failed/);
});

const settings: readonly {
  revision?: string;
  revisionTags?: string[];
  enableNamespacesByDefault?: boolean;
  failurePolicy?: "Ignore";
}[] = [
  {},
  { enableNamespacesByDefault: true },
  { revision: "canary", revisionTags: ["stable"] },
  // YAML could take these for a number and a truth.
  { revision: "1", revisionTags: ["true"] },
  { revision: "canary", revisionTags: ["default"], failurePolicy: "Ignore" },
];
for (const setting of settings) {
  test(`the webhooks are those that the control plane means: ${JSON.stringify(setting)}`, { skip }, async () => {
    const { failurePolicy = "Fail", ...values } = setting;
    const injection = { ignoredNamespaces: ["legacy"] };
    const objects = await renderChart({ ...values, injection, "webhooks.failurePolicy": failurePolicy });
    const { revision = "default", revisionTags = [], enableNamespacesByDefault = false } = values;
    const name = revision === "default" ? "trysail" : `trysail-${revision}`;
    const options: WebhookOptions = {
      ...{ revision, revisionTags, enableNamespacesByDefault, failurePolicy },
      ignoredNamespaces: injectionConfigOf(objects, name).ignoredNamespaces,
      systemNamespace: "trysail-system",
      caBundlePem: "",
      target: { service: { name, namespace: "trysail-system", port: 15017 } },
      timeoutSeconds: 10,
    };
    const mutating = only(objects, "MutatingWebhookConfiguration");
    const validating = only(objects, "ValidatingWebhookConfiguration");
    for (const [rendered, built] of [
      [mutating, buildInjectionWebhooks(options)],
      [validating, buildValidationWebhooks(options)],
    ] as const) {
      const expected = JSON.parse(JSON.stringify(built, (key, value) => (key === "caBundle" ? undefined : value)));
      assert.deepEqual(rendered.webhooks, expected.webhooks);
      assert.equal(rendered.metadata.name, expected.metadata.name);
    }
  });
}

test("what the values say about injection is what the control plane reads", { skip }, async () => {
  const objects = await renderChart({
    image: { repository: "registry.example/trysail", tag: "9", pullPolicy: "Always" },
    "proxy.image": "registry.example/envoy:1",
    nativeSidecars: false,
    injection: { proxyLogLevel: "debug", injectedLabels: { team: "mesh" } },
  });
  const config = injectionConfigOf(objects, "trysail");
  assert.equal(config.initImage, "registry.example/trysail:9");
  assert.equal(config.proxyImage, "registry.example/envoy:1");
  assert.equal(config.imagePullPolicy, "Always");
  assert.equal(config.nativeSidecars, false);
  assert.equal(config.proxyLogLevel, "debug", "`injection` wins over `proxy.logLevel`");
  assert.deepEqual(config.injectedLabels, { team: "mesh" });
  assert.equal(config.discoveryAddress, "trysail.trysail-system.svc:15012");
});

test("sidecars are native ones where the server knows these, unless a value forbids it", { skip }, async () => {
  const isNative = async (version: string, ...values: string[]) => {
    const text = await helm("template", "trysail", CHART, `--kube-version=${version}`, ...values);
    return /nativeSidecars: (\w+)/.exec(text)?.[1];
  };
  assert.equal(await isNative("v1.28.15-gke.100"), "false");
  assert.equal(await isNative("v1.29.0-eks-1"), "true");
  assert.equal(await isNative("v1.34.3"), "true");
  assert.equal(await isNative("v1.34.3", "--set=nativeSidecars=false"), "false");
});

test("a pod of the control plane follows its injection settings, and runs under the strictest Pod Security", {
  skip,
}, async () => {
  const [plain, changed] = [await renderChart(), await renderChart({ nativeSidecars: false })].map(
    (objects) => only(objects, "Deployment").spec.template,
  );
  assert.notEqual(plain.metadata.annotations["checksum/injection"], changed.metadata.annotations["checksum/injection"]);
  assert.equal(plain.spec.securityContext.runAsNonRoot, true);
  assert.deepEqual(plain.spec.securityContext.seccompProfile, { type: "RuntimeDefault" });
  for (const { securityContext } of plain.spec.containers) {
    assert.deepEqual(securityContext, {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ["ALL"] },
      privileged: false,
      readOnlyRootFilesystem: true,
    });
  }
});

test("every flag that the chart gives is one of the program's", { skip }, async () => {
  const { stdout: help } = await promisify(execFile)(process.execPath, [PROGRAM, "serve", "--help"]);
  const known = new Set(help.match(/--[a-z-]+/g));
  const { args } = only(await renderChart(), "Deployment").spec.template.spec.containers[0];
  const [command, ...flags] = args;
  assert.equal(command, "serve");
  assert.deepEqual(
    flags.map((flag: string) => flag.split("=")[0]).filter((flag: string) => !known.has(flag)),
    [],
  );
});

test("the control plane may list and watch what it reads, by name where it reads by name", { skip }, async () => {
  const objects = await renderChart();
  const plurals = new Map(
    objects
      .filter(({ kind }) => kind === "CustomResourceDefinition")
      .map(({ spec }) => [spec.names.kind, spec.names.plural]),
  );
  const { rules } = only(objects, "ClusterRole");
  for (const { entry, resource = plurals.get(entry.kind), query } of readKinds) {
    const group = groupOf(entry.apiVersions[0]);
    const allowing = rules.filter(
      (rule: { apiGroups: string[]; resources: string[]; verbs: string[] }) =>
        rule.apiGroups.includes(group) &&
        rule.resources.includes(resource) &&
        rule.verbs.includes("watch") &&
        rule.verbs.includes("list"),
    );
    const names = allowing.flatMap(({ resourceNames = [] }: { resourceNames?: string[] }) => resourceNames);
    const [, asked] = /^metadata\.name=(\S+)$/.exec(query?.fieldSelector ?? "") ?? [];
    assert.ok(allowing.length > 0, `${entry.kind} may not be read`);
    if (asked !== undefined) assert.ok(names.includes(asked), `${entry.kind} ${asked} may not be read`);
    else assert.deepEqual(names, [], `${entry.kind} may be read by name only`);
  }
});

test("nothing may be read or written that is named `*`, and no Secret outside the control plane's namespace", {
  skip,
}, async () => {
  const objects = await renderChart();
  const { rules } = only(objects, "ClusterRole");
  for (const rule of [...rules, ...only(objects, "Role").rules]) {
    assert.ok(!JSON.stringify([rule.apiGroups, rule.resources, rule.verbs]).includes("*"), JSON.stringify(rule));
  }
  assert.ok(!rules.some(({ resources }: { resources: string[] }) => resources.includes("secrets")));
});

test("a value that does not exist, or is of the wrong type, is refused by name", { skip }, async () => {
  const refused: readonly [string, unknown, RegExp][] = [
    ["replica", 2, /replica/],
    ["replicas", "two", /replicas/],
    // Its Service's name would be longer than 63 letters.
    ["revision", "r".repeat(56), /revision/],
    ["meshConfig", { trustDomain: "two words" }, /trustDomain/],
    ["injection", { ignoredNamespaces: "legacy" }, /ignoredNamespaces/],
    ["webhooks", { failurePolicy: "Maybe" }, /failurePolicy/],
    ["workloadCertTtl", "a day", /workloadCertTtl/],
    ["extraArgs", ["serve"], /extraArgs/],
    ["multiCluster", { clusterName: "" }, /clusterName/],
    ["multiCluster", { clusterName: "two words" }, /clusterName/],
    ["revisionTags", ["stable", "stable"], /revisionTags/],
    ["podLabels", { team: "two words" }, /podLabels/],
  ];
  for (const [name, value, complaint] of refused) {
    await assert.rejects(renderChart({ [name]: value }), complaint);
  }
});

test("the README lists every value with its default, and no others", () => assertValuesDocumented(CHART));

test("another namespace than trysail-system is used throughout, and neither is ever injected", { skip }, async () => {
  const objects = await renderRelease("trysail", CHART, "mesh", {});
  const others = objects.filter(
    ({ kind, metadata }) => kind !== "CustomResourceDefinition" && ![undefined, "mesh"].includes(metadata.namespace),
  );
  assert.deepEqual(others, []);
  for (const { webhooks } of objects.filter(({ kind }) => kind === "MutatingWebhookConfiguration")) {
    for (const { clientConfig, namespaceSelector } of webhooks) {
      assert.equal(clientConfig.service.namespace, "mesh");
      const [{ values }] = namespaceSelector.matchExpressions.slice(-1);
      assert.ok(values.includes("mesh") && values.includes("trysail-system"), values.join(" "));
    }
  }
  assert.equal(injectionConfigOf(objects, "trysail").discoveryAddress, "trysail.mesh.svc:15012");
});

test("values that YAML could take for numbers, and labels of the chart's own, keep their meaning", {
  skip,
}, async () => {
  const objects = await renderRelease("99", CHART, "123", {
    ...{ revision: "1", priorityClassName: "2", imagePullSecrets: ["3"] },
    podLabels: { app: "other", "istio.io/rev": "9", tier: "4" },
    podAnnotations: { "prometheus.io/scrape": "false", "checksum/injection": "mine" },
    autoscaling: { enabled: true },
    serviceMonitor: { enabled: true, labels: { app: "prometheus" } },
    podMonitor: { enabled: true },
  });
  for (const { kind, metadata } of objects) {
    const { namespace = "123", labels = {} } = metadata;
    const texts = [namespace, ...Object.values(labels ?? {})];
    assert.ok(
      texts.every((text) => typeof text === "string"),
      `${kind} ${metadata.name}: ${texts}`,
    );
  }
  const { selector, template } = only(objects, "Deployment").spec;
  assert.deepEqual(selector.matchLabels, { app: "trysail", "istio.io/rev": "1" });
  const { labels, annotations } = template.metadata;
  assert.deepEqual([labels.app, labels["istio.io/rev"], labels.tier], ["trysail", "1", "4"]);
  assert.equal(annotations["prometheus.io/scrape"], "false");
  assert.notEqual(annotations["checksum/injection"], "mine");
  assert.equal(only(objects, "ServiceMonitor").metadata.labels?.app, "prometheus");
  assert.equal(template.spec.priorityClassName, "2");
  assert.deepEqual(only(objects, "ServiceAccount").imagePullSecrets, [{ name: "3" }]);
});

test("the ports that are let through are those that the Service leads to, and that the program listens on", {
  skip,
}, async () => {
  const objects = await renderChart();
  const { ports } = only(objects, "Deployment").spec.template.spec.containers[0];
  const numbers = new Map(
    ports.map((port: { name: string; containerPort: number }) => [port.name, port.containerPort]),
  );
  const led = only(objects, "Service").spec.ports;
  for (const { port, targetPort } of led) assert.equal(numbers.get(targetPort), port);
  const [{ ports: open }] = only(objects, "NetworkPolicy").spec.ingress;
  assert.deepEqual(
    open.map(({ port }: { port: string }) => port),
    led.map(({ targetPort }: { targetPort: string }) => targetPort),
  );
  const { matchLabels } = only(objects, "Deployment").spec.selector;
  for (const selector of [
    only(objects, "NetworkPolicy").spec.podSelector.matchLabels,
    only(objects, "PodDisruptionBudget").spec.selector.matchLabels,
    only(objects, "Service").spec.selector,
  ]) {
    assert.deepEqual(selector, matchLabels);
  }
  const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, "serve", "--help"]);
  for (const port of numbers.values()) assert.match(stdout, new RegExp(`:${port}\\b`));
});

test("the versions of a chart that somebody packed anew are labels", { skip }, async (t) => {
  const folder = await temporaryPath(t, "packed");
  await mkdir(folder);
  for (const chart of [CHART, GATEWAY_CHART, RATE_LIMIT_CHART]) {
    const version = "1.2.3+build.4";
    await helm("package", chart, `--version=${version}`, `--app-version=${version}`, `--destination=${folder}`);
    const packed = join(folder, `${basename(chart)}-${version}.tgz`);
    for (const { metadata } of await renderRelease("a", packed, "mesh", {
      ...(chart === RATE_LIMIT_CHART && IN_MEMORY),
    })) {
      for (const text of Object.values(metadata.labels ?? {})) assert.match(text, /^[\w.-]*$/, metadata.name);
    }
  }
});

test("what the webhooks follow too cannot be told to the control plane alone", { skip }, async () => {
  for (const name of ["revision", "revisionTags", "enableNamespacesByDefault"]) {
    const alone = renderChart({ injection: { [name]: name === "revision" ? "canary" : [] } });
    await assert.rejects(alone, new RegExp(`set the value ${name} instead`));
  }
});

test("the mesh's networks reach the control plane as it reads them", { skip }, async () => {
  const meshNetworks = {
    east: { endpoints: [{ fromRegistry: "east" }], gateways: [{ address: "192.0.2.1", port: 1 }] },
  };
  const { data } = only(
    await renderRelease("trysail", CHART, "trysail-system", { meshNetworks }),
    "ConfigMap",
    "istio",
  );
  const told: string[] = [];
  const networks = parseMeshNetworks(data.meshNetworks, NO_NETWORKS, (...[, , message]) => told.push(message));
  assert.deepEqual(told, []);
  assert.deepEqual(networks.gateways, [{ network: "east", port: 1, at: { address: "192.0.2.1" } }]);
});

test("the values that docs/platforms.md names are taken", { skip }, async () => {
  const guide = readFileSync(new URL("../../docs/platforms.md", import.meta.url), "utf8");
  const files = [...guide.matchAll(/```yaml\n(.*?)```/gs)].map(([, yaml = ""]) => parse(yaml));
  assert.equal(files.length, 3);
  for (const values of files) {
    const config = injectionConfigOf(await renderChart(values), "trysail");
    assert.equal(config.platform, values.injection?.platform ?? "kubernetes");
    assert.equal(config.nativeSidecars, values.nativeSidecars ?? true);
  }
  const [mutating] = (await renderChart(files.at(-1))).filter(({ kind }) => kind === "MutatingWebhookConfiguration");
  assert.deepEqual(mutating?.metadata.annotations, { "admissions.enforcer/disabled": "true" });
});

function injectionConfigOf(objects: readonly RenderedObject[], name: string) {
  const { data } = only(objects, "ConfigMap", `${name}-injection`);
  return parseInjectionConfig(data["config.yaml"], "the chart's ConfigMap");
}
