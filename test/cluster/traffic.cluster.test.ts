import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../support/until.ts";
import { deployment, service } from "./app-objects.ts";
import { installGuideCommands, installGuideObjects, installGuideShell } from "./install-guide.ts";
import {
  type ApplicableObject,
  clusterMissing,
  createNamespace,
  type MeshCluster,
  meshCluster,
  type PodName,
  removeNamespaceAfter,
  SYSTEM_NAMESPACE,
  uninstallMeshAfter,
} from "./mesh-cluster.ts";

const skip = clusterMissing;
const SOON = { timeoutMs: 60_000, everyMs: 100 };
const SPLIT_REQUESTS = 300;

test("docs/install.md, from the installation to its end", { skip, timeout: 600_000 }, async (t) => {
  const cluster = await meshCluster(t);
  const apps = [
    ...["web", "orders"].map((app) => service("shop", app)),
    deployment({ namespace: "shop", name: "web", podSpec: { serviceAccountName: "web" } }),
    { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "web", namespace: "shop" } },
    deployment({ namespace: "shop", name: "orders", app: "orders" }),
    deployment({ namespace: "shop", name: "orders-v2", app: "orders", version: "v2" }),
  ];
  const shell = await installGuideShell(t, cluster.kubeconfig, {
    "your-app.yaml": JSON.stringify({ apiVersion: "v1", kind: "List", items: apps }),
  });
  const follow = async (heading: string) => {
    const commands = installGuideCommands(heading);
    assert.ok(commands.length > 0, heading);
    for (const command of commands) {
      await t.test(command, async () => {
        await shell(command);
      });
    }
  };
  uninstallMeshAfter(t, cluster);
  removeNamespaceAfter(t, cluster, "shop");
  await follow("Install");
  await follow("The first pods");
  await createNamespace(t, cluster, "outside");
  await cluster.apply(deployment({ namespace: "outside", name: "stranger" }));
  const web = await cluster.readyPod("shop", "web");
  const stranger = await cluster.readyPod("outside", "stranger");
  await cluster.readyPods("shop", "orders", 2);

  await t.test("a pod of a labelled namespace has an init container and a stock Envoy", async () => {
    const { spec } = await cluster.read(`/api/v1/namespaces/shop/pods/${web.name}`);
    const added = spec.initContainers.map(({ name, image }: { name: string; image: string }) => [name, image]);
    assert.deepEqual(added, [
      ["istio-init", "registry.example.com/trysail/trysail:0.1.0"],
      ["istio-proxy", "envoyproxy/envoy:v1.40.0"],
    ]);
  });

  await t.test(
    "plaintext from outside is taken until STRICT refuses it, and the mesh's own traffic is not touched",
    async () => {
      // Kubernetes' own proxy may learn of the pods a moment after they are ready.
      await statusBecomes(cluster, stranger, "/", 200);
      await cluster.apply(documented("PeerAuthentication"));
      await until(
        "plaintext to be refused",
        async () => (await cluster.callFrom(stranger, "http://orders.shop/")).status === 0,
        SOON,
      );
      const { status, body } = await cluster.callFrom(web, "http://orders.shop/");
      assert.equal(status, 200, body);
      assert.match(
        body,
        /URI=spiffe:\/\/cluster\.local\/ns\/shop\/sa\/web/,
        "the callee knows its caller by certificate",
      );
    },
  );

  await t.test("a canary gets its share of the requests", async () => {
    await cluster.apply(documented("DestinationRule"), documented("VirtualService"));
    const share = async () => {
      const answers = await Promise.all(
        Array.from({ length: SPLIT_REQUESTS }, () => cluster.callFrom(web, "http://orders.shop/")),
      );
      assert.deepEqual(
        answers.filter(({ status }) => status !== 200),
        [],
      );
      return answers.filter(({ body }) => JSON.parse(body).name === "orders-v2").length / SPLIT_REQUESTS;
    };
    // Without the rule it would be a half. 0.2 ± 0.1 is more than four standard deviations.
    await until("a fifth of the requests at v2", async () => Math.abs((await share()) - 0.2) < 0.1, SOON);
    await cluster.apply(virtualService("orders", { hosts: ["orders"], http: [{ route: split(0, 100) }] }));
    await until("all requests at v2", async () => (await share()) === 1, SOON);
  });

  await t.test("`kubectl get virtualservice` shows its hosts and what became of it", async () => {
    await until(
      "it to be accepted and in use",
      async () => {
        const shown = await shell("kubectl -n shop get virtualservice orders");
        assert.match(shown, /^NAME +GATEWAYS +HOSTS +ACCEPTED +PROGRAMMED +REASON +AGE$/m);
        // A weight of zero is warned of.
        assert.match(shown, /^orders +\["orders"\] +True +True +AcceptedWithWarnings +\S+$/m);
        return true;
      },
      SOON,
    );
  });

  await t.test("authorization lets in whom it names, by certificate, and nobody else", async () => {
    const policy = documented("AuthorizationPolicy");
    await cluster.apply(policy);
    await statusBecomes(cluster, web, "/closed", 403);
    assert.equal((await cluster.callFrom(web, "http://orders.shop/open")).status, 200);
    const another = JSON.parse(JSON.stringify(policy).replace("sa/web", "sa/another"));
    await cluster.apply(another);
    await statusBecomes(cluster, web, "/open", 403);
  });

  await t.test("configuration that makes no sense is refused when it is written", async () => {
    const spec = {
      hosts: ["orders"],
      http: [
        {
          route: [{ destination: { host: "orders", subset: "v1" }, weight: 0 }],
          timeout: "0s",
          match: [{ uri: { regex: "(" } }],
        },
      ],
    };
    const { status, body } = await cluster.call(
      "POST",
      "/apis/networking.istio.io/v1/namespaces/shop/virtualservices",
      virtualService("wrong", spec),
    );
    assert.equal(status, 422, JSON.stringify(body));
    assert.match(body.message, /validation\.trysail\.io.* denied the request: .*regex/);
  });

  await t.test("the control plane was forbidden nothing that it asked for", async () => {
    for (const { name } of await cluster.readyPods(SYSTEM_NAMESPACE, "trysail", 2)) {
      const { body } = await cluster.call("GET", `/api/v1/namespaces/${SYSTEM_NAMESPACE}/pods/${name}/log`);
      assert.match(body, /"msg":"ready"/);
      assert.doesNotMatch(body, /forbidden/i);
    }
  });

  await follow("Upgrade and restart");
  await follow("When something is wrong");

  await t.test("uninstalled by the guide, pods go on without sidecars", async () => {
    const [unlabel = "", restart = "", uninstall = ""] = installGuideCommands("Uninstall");
    await shell(unlabel);
    await shell(restart);
    await shell("kubectl -n shop rollout status deployment");
    await shell(uninstall);
    const pod = await cluster.readyPod("shop", "web");
    const { spec } = await cluster.read(`/api/v1/namespaces/shop/pods/${pod.name}`);
    assert.equal(spec.initContainers, undefined);
    await statusBecomes(cluster, pod, "/closed", 200);
  });
});

const guide = installGuideObjects();

function documented(kind: string): ApplicableObject {
  const object = guide.get(kind);
  if (object === undefined) throw new Error(`docs/install.md has no ${kind}`);
  return object;
}

/** Of as many requests as were made at once before: each connection that is open since then answers one more by the old policy. */
async function statusBecomes(cluster: MeshCluster, pod: PodName, path: string, wanted: number): Promise<void> {
  await until(
    `${path} to answer ${wanted}`,
    async () => {
      const asked = Array.from({ length: SPLIT_REQUESTS }, () => cluster.callFrom(pod, `http://orders.shop${path}`));
      const others = (await Promise.all(asked)).filter(({ status }) => status !== wanted);
      if (others.length > 0) throw new Error(`${others.length} others, such as ${others[0]?.status}`);
      return true;
    },
    SOON,
  );
}

function split(v1: number, v2: number) {
  return Object.entries({ v1, v2 }).map(([subset, weight]) => ({ destination: { host: "orders", subset }, weight }));
}

function virtualService(name: string, spec: object) {
  return { apiVersion: "networking.istio.io/v1", kind: "VirtualService", metadata: { name, namespace: "shop" }, spec };
}
