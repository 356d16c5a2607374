import assert from "node:assert/strict";
import { test } from "node:test";
import { groupOf, type KindSchema, kindSchemas } from "../../src/mesh/schemas.ts";
import { freePort } from "../support/free-port.ts";
import { until } from "../support/until.ts";
import { create } from "./create.ts";
import type { KubernetesClient } from "./kubernetes-client.ts";
import { findKubernetes } from "./programs.ts";
import { startKubernetes } from "./start-kubernetes.ts";
import { controlPlaneFor, registerValidation, webhookOptions } from "./webhooks.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : false;

const SERVICE =
  "apiVersion: v1\nkind: Service\nmetadata: {name: cart, namespace: shop}\nspec: {ports: [{name: http, port: 80}]}\n";
const GOOD = { hosts: ["cart"], http: [{ route: [{ destination: { host: "cart" } }] }] };
const BAD = {
  hosts: ["cart"],
  http: [{ match: [{ uri: { regex: "(" } }], route: [{ destination: { host: "cart" } }] }],
};

const routes = (namespace: string) => `/apis/networking.istio.io/v1/namespaces/${namespace}/virtualservices`;
const route = (name: string, spec: object) => ({
  apiVersion: "networking.istio.io/v1",
  kind: "VirtualService",
  metadata: { name },
  spec,
});

test("validation in front of a real API server", { skip, timeout: 180_000 }, async (t) => {
  if ("missing" in found) return;
  const client = await startKubernetes(t, found.programs);
  const mesh = await controlPlaneFor(t, client, { shop: {}, "trysail-system": {} }, { "cart.yaml": SERVICE });
  for (const kind of kindSchemas.filter(({ istio }) => istio)) await define(client, kind);
  await create(client, routes("shop"), route("from-before", BAD));
  await registerValidation(client, webhookOptions(mesh));
  await until("the webhook to be asked", async () => {
    return (await client.call("POST", `${routes("shop")}?dryRun=All`, route("probe", BAD))).status === 422;
  });

  await t.test("an object that is right is created without a word", async () => {
    const { status, body, warnings } = await client.call("POST", routes("shop"), route("good", GOOD));
    assert.equal(status, 201, JSON.stringify(body));
    assert.deepEqual(warnings, []);
  });

  await t.test("an object that is wrong is refused, with its field", async () => {
    const { status, body } = await client.call("POST", routes("shop"), route("bad", BAD));
    assert.equal(status, 422);
    assert.equal(body.reason, "Invalid");
    assert.match(
      body.message,
      /^admission webhook "validation\.trysail\.io" denied the request: VirtualService shop\/bad: spec\.http\[0\]\.match\[0\]\.uri\.regex is not a regular expression in RE2/,
    );
    assert.equal(body.details.causes[0].field, "spec.http[0].match[0].uri.regex");
    assert.equal((await client.call("GET", `${routes("shop")}/bad`)).status, 404);
  });

  await t.test("what is used but not as written is created with warnings", async () => {
    const toCrat = { route: [{ destination: { host: "crat" } }] };
    const spec = { hosts: ["cart"], http: [toCrat, { match: [{ uri: { exact: "/late" } }], ...toCrat }] };
    const { status, body, warnings } = await client.call("POST", routes("shop"), route("odd", spec));
    assert.equal(status, 201, JSON.stringify(body));
    assert.equal(warnings.length, 3, warnings.join());
    assert.match(warnings[0] ?? "", /^VirtualService shop\/odd: spec\.http\[1\] is never reached/);
    assert.match(warnings[1] ?? "", /http\[0\].*host names crat \(crat\.shop\.svc\.cluster\.local\)/);
    assert.match(warnings[2] ?? "", /http\[1\].*host names crat/);
  });

  await t.test("an update is validated as well", async () => {
    const patch = { spec: BAD };
    const answer = await client.call("PATCH", `${routes("shop")}/good`, patch, "application/merge-patch+json");
    assert.equal(answer.status, 422);
  });

  await t.test("a bad object from before can be labelled and deleted, even with a finalizer", async () => {
    const path = `${routes("shop")}/from-before`;
    const merge = (metadata: object) => client.call("PATCH", path, { metadata }, "application/merge-patch+json");
    const labelled = await merge({ labels: { team: "a" }, finalizers: ["example.com/hold"] });
    assert.equal(labelled.status, 200, JSON.stringify(labelled.body));
    assert.match(labelled.warnings[0] ?? "", /regex is not a regular expression/);
    assert.equal((await client.call("DELETE", path)).status, 200);
    assert.equal((await merge({ finalizers: null })).status, 200);
    assert.equal((await client.call("GET", path)).status, 404);
  });

  await t.test("an unknown field of a policy is refused, one of a route only told", async () => {
    const policy = {
      apiVersion: "security.istio.io/v1",
      kind: "AuthorizationPolicy",
      metadata: { name: "p" },
      spec: { action: "DENY", rules: [{ form: [] }] },
    };
    const path = "/apis/security.istio.io/v1/namespaces/shop/authorizationpolicies";
    const refused = await client.call("POST", path, policy);
    assert.equal(refused.status, 422);
    assert.equal(refused.body.details.causes[0].field, "spec.rules[0].form");
    const told = await client.call("POST", routes("shop"), route("typo", { ...GOOD, gatways: [] }));
    assert.equal(told.status, 201);
    assert.match(told.warnings[0] ?? "", /spec\.gatways is not a field of VirtualService/);
  });

  await t.test("other versions of a kind are validated alike", async () => {
    const path = routes("shop").replace("/v1/", "/v1beta1/");
    const { status } = await client.call("POST", path, {
      ...route("old", BAD),
      apiVersion: "networking.istio.io/v1beta1",
    });
    assert.equal(status, 422);
  });

  await t.test("a policy of 1,000 rules is taken", async () => {
    const rules = Array.from({ length: 1000 }, (_, index) => ({
      from: [{ source: { principals: [`cluster.local/ns/shop/sa/account-${index}`] } }],
      to: [{ operation: { methods: ["GET"], paths: [`/items/${index}/*`] } }],
    }));
    const policy = {
      apiVersion: "security.istio.io/v1",
      kind: "AuthorizationPolicy",
      metadata: { name: "many" },
      spec: { rules },
    };
    const path = "/apis/security.istio.io/v1/namespaces/shop/authorizationpolicies";
    const { status, body } = await client.call("POST", path, policy);
    assert.equal(status, 201, JSON.stringify(body).slice(0, 500));
  });

  await t.test("in the control plane's own namespace objects are validated too", async () => {
    const { status } = await client.call("POST", routes("trysail-system"), route("own", BAD));
    assert.equal(status, 422);
  });

  await t.test("while the control plane is away, only its own namespace goes on", async () => {
    const configurations = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
    assert.equal((await client.call("DELETE", `${configurations}/trysail-validator`)).status, 200);
    await registerValidation(
      client,
      webhookOptions(mesh, { target: { url: `https://127.0.0.1:${await freePort()}` } }),
    );
    const away = await until("the webhook to be asked", async () => {
      const answer = await client.call("POST", `${routes("shop")}?dryRun=All`, route("later", GOOD));
      return answer.status === 500 && answer;
    });
    assert.match(away.body.message, /failed calling webhook "validation\.trysail\.io"/);
    assert.equal((await client.call("POST", routes("trysail-system"), route("installed", GOOD))).status, 201);
    assert.equal((await client.call("DELETE", `${routes("shop")}/good`)).status, 200);
  });
});

/** A definition that leaves all validation to the webhook, so that the webhook is what the test sees. */
async function define(client: KubernetesClient, { kind, apiVersions }: KindSchema): Promise<void> {
  const group = groupOf(apiVersions[0]);
  const plural = kind.endsWith("y") ? `${kind.slice(0, -1)}ies` : `${kind}s`;
  const names = { kind, listKind: `${kind}List`, singular: kind.toLowerCase(), plural: plural.toLowerCase() };
  const spec = { type: "object", "x-kubernetes-preserve-unknown-fields": true };
  const versions = apiVersions.map((apiVersion, index) => ({
    name: apiVersion.slice(group.length + 1),
    served: true,
    storage: index === 0,
    schema: { openAPIV3Schema: { type: "object", properties: { spec } } },
  }));
  const path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
  await create(client, path, {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${names.plural}.${group}` },
    spec: { group, names, scope: "Namespaced", versions },
  });
  await until(
    `${kind} to be served`,
    async () => {
      return (await client.call("GET", `/apis/${apiVersions[0]}/${names.plural}`)).status === 200;
    },
    { timeoutMs: 60_000 },
  );
}
