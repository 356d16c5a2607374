import assert from "node:assert/strict";
import { test } from "node:test";
import { GATEWAY_CHART, helm, helmMissing } from "../support/helm.ts";
import { assertValuesDocumented } from "./documented-values.ts";
import { only, renderRelease } from "./rendered.ts";

const skip = helmMissing;
const render = (values: object = {}, release = "istio-ingressgateway") =>
  renderRelease(release, GATEWAY_CHART, "istio-ingress", values);

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

test("one proxy a node is a DaemonSet that nobody scales", { skip }, async () => {
  const objects = await render({ kind: "DaemonSet", service: { type: "None" } });
  const kinds = objects.map(({ kind }) => kind).toSorted();
  assert.deepEqual(kinds, ["DaemonSet", "PodDisruptionBudget", "ServiceAccount"]);
  const { spec } = only(objects, "DaemonSet");
  assert.deepEqual([spec.replicas, spec.strategy], [undefined, undefined]);
});

test("a value that the gateway does not have, or of the wrong type, is refused by name", { skip }, async () => {
  const refused: readonly [object, RegExp][] = [
    [{ replicas: 2 }, /replicas/],
    [{ kind: "StatefulSet" }, /kind/],
    [{ service: { ports: [] } }, /ports/],
    [{ service: { ports: [{ name: "http", port: 0 }] } }, /port/],
    [{ serviceAccount: { name: "Not A Name" } }, /serviceAccount/],
  ];
  for (const [values, complaint] of refused) await assert.rejects(render(values), complaint);
});
