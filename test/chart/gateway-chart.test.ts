import assert from "node:assert/strict";
import { test } from "node:test";
import { GATEWAY_CHART, helm, helmMissing } from "../support/helm.ts";
import { assertValuesDocumented } from "./documented-values.ts";
import { only, renderRelease } from "./rendered.ts";

const skip = helmMissing;
const render = (values: object = {}, release = "istio-ingressgateway", namespace = "istio-ingress") =>
  renderRelease(release, GATEWAY_CHART, namespace, values);

test("Helm finds nothing to complain about in the gateway's chart", { skip }, async () => {
  assert.match(await helm("lint", "--strict", GATEWAY_CHART), /1 chart\(s\) linted, 0 chart\(s\) failed/);
});

test("the gateway's README lists every value with its default, and no others", () =>
  assertValuesDocumented(GATEWAY_CHART));

test("pods ask for the gateway template, and are what a Gateway for Istio selects", { skip }, async () => {
  const objects = await render();
  const { metadata, spec } = only(objects, "Deployment").spec.template;
  assert.equal(metadata.annotations["inject.istio.io/templates"], "gateway");
  assert.equal(metadata.labels["sidecar.istio.io/inject"], "true");
  assert.equal(metadata.labels.istio, "ingressgateway");
  assert.deepEqual(
    [spec.containers.length, spec.containers[0].name, spec.containers[0].image],
    [1, "istio-proxy", "auto"],
  );
  const service = only(objects, "Service").spec;
  assert.equal(service.type, "LoadBalancer");
  assert.deepEqual(service.selector, only(objects, "Deployment").spec.selector.matchLabels);
  assert.deepEqual(service.selector, only(objects, "PodDisruptionBudget").spec.selector.matchLabels);
});

test("a revision, a network and further environment reach the pod", { skip }, async () => {
  const objects = await render({ revision: "canary", networkGateway: "east", env: { ISTIO_META_DNS_CAPTURE: true } });
  const { metadata, spec } = only(objects, "Deployment").spec.template;
  assert.equal(metadata.labels["istio.io/rev"], "canary");
  assert.deepEqual(spec.containers[0].env, [
    { name: "ISTIO_META_DNS_CAPTURE", value: "true" },
    { name: "ISTIO_META_REQUESTED_NETWORK_VIEW", value: "east" },
  ]);
  for (const object of [only(objects, "Service"), only(objects, "Deployment").spec.template]) {
    assert.equal(object.metadata.labels["topology.istio.io/network"], "east");
  }
});

test("a gateway between networks has the ports by which other clusters reach it, unless others are chosen", {
  skip,
}, async () => {
  const ports = async (values: object) =>
    only(await render(values), "Service").spec.ports.map(({ port }: { port: number }) => port);
  assert.deepEqual(await ports({}), [15021, 80, 443]);
  assert.deepEqual(await ports({ networkGateway: "east" }), [15021, 15443, 15012, 15017]);
  const own = [{ name: "tls", port: 31443 }];
  assert.deepEqual(await ports({ networkGateway: "east", service: { ports: own } }), [31443]);
});

test("values that YAML could take for numbers, and labels of the chart's own, keep their meaning", {
  skip,
}, async () => {
  const objects = await render(
    {
      ...{ revision: "1", priorityClassName: "2", networkGateway: "3", imagePullSecrets: ["4"] },
      service: { loadBalancerClass: "5" },
      env: { LARGE: 1_000_000, PART: 0.5, SWITCH: true, TEXT: 'a "b"' },
      labels: { istio: "eastwest", team: "6" },
      podLabels: { app: "other", istio: "other", tier: "7" },
      podAnnotations: { "inject.istio.io/templates": "gateway,own" },
    },
    "123",
  );
  const { selector, template } = only(objects, "Deployment").spec;
  assert.deepEqual(selector.matchLabels, { app: "123", istio: "eastwest" });
  for (const [key, value] of Object.entries(selector.matchLabels)) assert.equal(template.metadata.labels[key], value);
  const { labels, annotations } = template.metadata;
  assert.deepEqual(
    [labels["istio.io/rev"], labels["topology.istio.io/network"], labels.team, labels.tier],
    ["1", "3", "6", "7"],
  );
  assert.equal(annotations["inject.istio.io/templates"], "gateway,own");
  assert.deepEqual(
    template.spec.containers[0].env.map(({ value }: { value: unknown }) => value),
    ["1000000", "0.5", "true", 'a "b"', "3"],
  );
  assert.deepEqual([template.spec.priorityClassName, template.spec.imagePullSecrets], ["2", [{ name: "4" }]]);
  assert.equal(only(objects, "Service").spec.loadBalancerClass, "5");
  for (const { metadata } of objects) assert.equal(metadata.name, "123");
});

test("one proxy a node is a DaemonSet that nobody scales", { skip }, async () => {
  const objects = await render({ kind: "DaemonSet", service: { type: "None" } });
  const kinds = objects.map(({ kind }) => kind).toSorted();
  assert.deepEqual(kinds, ["DaemonSet", "PodDisruptionBudget", "ServiceAccount"]);
  const { spec } = only(objects, "DaemonSet");
  assert.deepEqual([spec.replicas, spec.strategy], [undefined, undefined]);
});

test("a namespace that nothing is injected into is refused, with the way out", { skip }, async () => {
  await assert.rejects(
    render({}, "gateway", "trysail-system"),
    /would never start: install into a namespace of its own/,
  );
});

test("a value that the gateway does not have, or of the wrong type, is refused by name", { skip }, async () => {
  const refused: readonly [object, RegExp][] = [
    [{ replicas: 2 }, /replicas/],
    [{ kind: "StatefulSet" }, /kind/],
    [{ networkGateway: "two words" }, /networkGateway/],
    [{ podLabels: { team: "two words" } }, /podLabels/],
    [{ podDisruptionBudget: { maxUnavailable: "half" } }, /maxUnavailable/],
    [{ env: { "A=B": "c" } }, /env/],
    [{ service: { ports: [{ name: "http", port: 0 }] } }, /port/],
    [{ serviceAccount: { name: "Not A Name" } }, /serviceAccount/],
  ];
  for (const [values, complaint] of refused) await assert.rejects(render(values), complaint);
});
