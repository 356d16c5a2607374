import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { parseAllDocuments } from "yaml";
import { CHART, helm, helmMissing } from "../support/helm.ts";
import { until } from "../support/until.ts";
import { create } from "./create.ts";
import { everyIstioKind } from "./istio-crds.ts";
import { findKubernetes } from "./programs.ts";
import { startKubernetes } from "./start-kubernetes.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : helmMissing;
const CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const NAMESPACE = "trysail-system";
const EXAMPLE = fileURLToPath(new URL("../../examples/bookstore/manifests", import.meta.url));

test("the chart on a real API server", { skip, timeout: 180_000 }, async (t) => {
  if ("missing" in found) return;
  const client = await startKubernetes(t, found.programs);
  const install = (release: string, ...more: string[]) =>
    helm(
      "upgrade",
      "--install",
      release,
      CHART,
      `--kubeconfig=${client.kubeconfig}`,
      `--namespace=${NAMESPACE}`,
      "--create-namespace",
      ...more,
    );
  const read = async (path: string) => (await client.call("GET", path)).body;
  // As Istio's own would be: of another hand.
  const foreign = parseAllDocuments(readFileSync(join(CHART, "files/crds/sidecar.yaml"), "utf8"))[0]?.toJS();
  await create(client, CRDS, foreign);
  const adopted = await read(`${CRDS}/${foreign.metadata.name}`);

  await t.test("every object is accepted, and the same again changes nothing", async () => {
    await install("trysail");
    const deployment = `/apis/apps/v1/namespaces/${NAMESPACE}/deployments/trysail`;
    const { generation } = (await read(deployment)).metadata;
    await install("trysail");
    assert.equal((await read(deployment)).metadata.generation, generation);
  });

  await t.test("Istio's kinds are served, by structural schemas and in every version", async () => {
    const crds = await until("the CRDs to be established", async () => {
      const { items } = await read(CRDS);
      return items.every(({ status }: Crd) => holds(status, "Established")) && items;
    });
    const served = crds.map(({ spec }: Crd) => spec.names.kind).toSorted();
    assert.deepEqual(served, everyIstioKind.toSorted());
    for (const { metadata, status } of crds) assert.ok(!holds(status, "NonStructuralSchema"), metadata.name);
  });

  await t.test("a CRD that somebody else installed stays as it was", async () => {
    const now = await read(`${CRDS}/${foreign.metadata.name}`);
    assert.deepEqual(
      [now.metadata.generation, now.metadata.annotations],
      [adopted.metadata.generation, adopted.metadata.annotations],
    );
  });

  await t.test("the configuration of the sample is stored as it is written, and read in any version", async () => {
    await client.call("POST", "/api/v1/namespaces", {
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name: "bookstore" },
    });
    await withoutValidation(client);
    const objects = readdirSync(EXAMPLE)
      .flatMap((file) => parseAllDocuments(readFileSync(join(EXAMPLE, file), "utf8")))
      .map((document) => document.toJS())
      .filter((object) => object?.apiVersion?.includes(".istio.io/"));
    assert.ok(objects.length > 3);
    for (const object of objects) {
      const [group = ""] = object.apiVersion.split("/");
      const plural = await pluralOf(client, group, object.kind);
      for (const version of ["v1", "v1beta1", ...(group === "networking.istio.io" ? ["v1alpha3"] : [])]) {
        const path = `/apis/${group}/${version}/namespaces/bookstore/${plural}`;
        if (version === "v1") {
          const answer = await client.call("POST", `${path}?fieldValidation=Strict`, {
            ...object,
            apiVersion: `${group}/v1`,
          });
          assert.equal(answer.status, 201, JSON.stringify(answer.body));
        }
        assert.deepEqual((await read(`${path}/${object.metadata.name}`)).spec, object.spec, object.kind);
      }
    }
  });

  const virtualServices = "/apis/networking.istio.io/v1/namespaces/bookstore/virtualservices";
  const virtualService = (name: string, spec: object) => ({
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: { name },
    spec,
  });

  await t.test("a field that is not known is kept, for the control plane to tell", async () => {
    const spec = { hosts: ["a"], http: [{ route: [{ destination: { host: "a" } }], fromTheFuture: { x: 1 } }] };
    await create(client, virtualServices, virtualService("future", spec));
    assert.deepEqual((await read(`${virtualServices}/future`)).spec, spec);
  });

  await t.test("a field of the wrong type is refused with its path, before any webhook", async () => {
    const refused: readonly [object, RegExp][] = [
      [{ hosts: "a" }, /spec\.hosts/],
      [{ hosts: ["a"], http: [{ timeout: "soon" }] }, /spec\.http\[0\]\.timeout/],
      [
        { hosts: ["a"], http: [{ match: [{ uri: { exact: "/a", prefix: "/" } }] }] },
        /spec\.http\[0\]\.match\[0\]\.uri/,
      ],
      [{ hosts: ["a"], http: [{ route: [{ destination: { host: "a" }, weight: -1 }] }] }, /weight/],
    ];
    for (const [spec, complaint] of refused) {
      const { status, body } = await client.call("POST", virtualServices, virtualService("wrong", spec));
      assert.deepEqual([status, complaint.test(body.message)], [422, true], body.message);
    }
    const portLevelMtls = { http: { mode: "STRICT" } };
    const { body } = await client.call("POST", "/apis/security.istio.io/v1/namespaces/bookstore/peerauthentications", {
      apiVersion: "security.istio.io/v1",
      kind: "PeerAuthentication",
      metadata: { name: "wrong" },
      spec: { portLevelMtls },
    });
    assert.match(body.message, /portLevelMtls.*every key must match/);
  });

  await t.test("`kubectl get virtualservice` shows gateways, hosts, what became of it and age", async () => {
    const columns = (await read(`${CRDS}/virtualservices.networking.istio.io`)).spec.versions[0]
      .additionalPrinterColumns;
    assert.deepEqual(
      columns.map(({ name }: { name: string }) => name),
      ["Gateways", "Hosts", "Accepted", "Programmed", "Reason", "Proxies", "Message", "Age"],
    );
  });

  await t.test("a second revision is installed beside the first", async () => {
    await install("trysail-canary", "--set=revision=canary");
    const { items } = await read("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations");
    assert.deepEqual(
      items.map(({ metadata }: Crd) => metadata.name),
      ["trysail-sidecar-injector", "trysail-sidecar-injector-canary"],
    );
  });

  await t.test("uninstalled, it leaves the CRDs and what users configured, and nothing else", async () => {
    for (const release of ["trysail-canary", "trysail"]) {
      await helm("uninstall", release, `--kubeconfig=${client.kubeconfig}`, `--namespace=${NAMESPACE}`);
    }
    const left = [
      "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
      "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
      "/apis/rbac.authorization.k8s.io/v1/clusterroles?labelSelector=app%3Dtrysail",
      "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings?labelSelector=app%3Dtrysail",
      ...["apis/apps/v1", "api/v1"].map(
        (api) => `/${api}/namespaces/${NAMESPACE}/${api === "api/v1" ? "services" : "deployments"}`,
      ),
    ];
    for (const path of left) assert.deepEqual((await read(path)).items, [], path);
    assert.equal((await read(virtualServices)).items.length > 0, true);
    await install("trysail");
  });
});

interface Crd {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly names: { readonly kind: string } };
  readonly status: Conditions;
}

interface Conditions {
  readonly conditions?: readonly { readonly type: string; readonly status: string }[];
}

function holds(status: Conditions | undefined, type: string): boolean {
  return status?.conditions?.some((condition) => condition.type === type && condition.status === "True") ?? false;
}

type Client = Awaited<ReturnType<typeof startKubernetes>>;

/** No control plane runs here that could be asked. Resolves once the API server does not try to any more. */
async function withoutValidation(client: Client): Promise<void> {
  await client.call(
    "DELETE",
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/trysail-validator",
  );
  await create(client, "/apis/networking.istio.io/v1/namespaces/bookstore/virtualservices?dryRun=All", {
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: { name: "probe" },
    spec: { hosts: ["probe"] },
  });
}

async function pluralOf(client: Client, group: string, kind: string): Promise<string> {
  const { body } = await client.call("GET", `/apis/${group}/v1`);
  const [resource] = body.resources.filter(
    (found: { kind: string; name: string }) => found.kind === kind && !found.name.includes("/"),
  );
  return resource.name;
}
