import assert from "node:assert/strict";
import { test } from "node:test";
import { testControlPlane } from "../support/control-plane.ts";
import { envoyMissing } from "../support/envoy.ts";
import { forwardTo, startJoinedEnvoy } from "../support/joined-envoy.ts";
import { until } from "../support/until.ts";
import { create } from "./create.ts";
import { everyIstioKind, installIstioKinds } from "./istio-crds.ts";
import { findKubernetes } from "./programs.ts";
import { startKubernetes } from "./start-kubernetes.ts";

/** What is written on objects of a real API server, of a whole control plane and its real proxies. */

const found = findKubernetes();
const skip = "missing" in found ? found.missing : envoyMissing();
const SLOW = { timeoutMs: 30_000, everyMs: 100 };
const SHOP = "/apis/networking.istio.io/v1/namespaces/shop";
const MERGE = "application/merge-patch+json";

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration?: number;
  readonly lastTransitionTime?: string;
}

test("what became of objects is written on them", { skip, timeout: 240_000 }, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, { ...found.programs, controllerManager: null });
  await installIstioKinds(kubernetes, everyIstioKind);
  for (const name of ["trysail-system", "shop"]) await create(kubernetes, "/api/v1/namespaces", { metadata: { name } });
  const source = { source: { kind: "kubeconfig", path: kubernetes.kubeconfig } } as const;
  const first = await testControlPlane(t, {}, source);
  await until("the first to lead", async () => (await holder()) !== "");

  async function holder(): Promise<string> {
    const leases = "/apis/coordination.k8s.io/v1/namespaces/trysail-system/leases";
    return (await kubernetes.call("GET", `${leases}/trysail-leader`)).body.spec?.holderIdentity ?? "";
  }
  async function rootPem(): Promise<string> {
    const { body } = await kubernetes.call("GET", "/api/v1/namespaces/trysail-system/secrets/trysail-ca-secret");
    return Buffer.from(body.data["root-cert.pem"], "base64").toString();
  }
  const put = async (resource: string, name: string, spec: object) => {
    const { status } = await kubernetes.call("PATCH", `${SHOP}/${resource}/${name}`, { spec }, MERGE);
    if (status === 404) await create(kubernetes, `${SHOP}/${resource}`, objectOf(resource, name, spec));
    else assert.equal(status, 200);
  };
  const read = async (resource: string, name: string) => {
    const { body } = await kubernetes.call("GET", `${SHOP}/${resource}/${name}`);
    const conditions: readonly Condition[] = body.status?.conditions ?? [];
    return { body, of: (type: string) => conditions.find((condition) => condition.type === type), conditions };
  };
  /** Waits for `TYPE=STATUS REASON` about the object's present version. */
  const condition = (resource: string, name: string, type: string, status: string, reason: string) =>
    until(
      `${name} to be ${type}=${status} ${reason}`,
      async () => {
        const { body, of } = await read(resource, name);
        const held = of(type);
        if (body.status?.observedGeneration !== body.metadata.generation) throw new Error(JSON.stringify(body.status));
        if (held?.status !== status || held.reason !== reason) throw new Error(JSON.stringify(body.status));
        return held;
      },
      SLOW,
    );
  const page = (gateway = "page.test") => ({
    hosts: [gateway],
    http: [{ route: [{ destination: { host: "bank.test", port: { number: 80 } } }] }],
  });

  await put("serviceentries", "bank", {
    hosts: ["bank.test"],
    ports: [{ number: 80, name: "http", protocol: "HTTP" }],
    resolution: "STATIC",
    endpoints: [{ address: "127.0.0.1", ports: { http: 9 } }],
  });

  await t.test("an object that is in use is accepted, in Istio's form", async () => {
    await put("virtualservices", "page", page());
    await condition("virtualservices", "page", "Accepted", "True", "Accepted");
    const { body, conditions } = await read("virtualservices", "page");
    assert.deepEqual(
      conditions.map(({ type, status }) => `${type}=${status}`),
      ["Accepted=True", "ResolvedRefs=True", "Conflicted=False", "Programmed=True", "Reconciled=True"],
    );
    for (const { observedGeneration, lastTransitionTime } of conditions) {
      assert.equal(observedGeneration, 1);
      assert.match(lastTransitionTime ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    }
    assert.equal(body.status.observedGeneration, 1);
  });

  await t.test(
    "one that cannot be used says why, and that its last good version is; and no longer once it is mended",
    async () => {
      await put("virtualservices", "page", { ...page(), http: [{ route: [{ destination: {} }] }] });
      const refused = await condition("virtualservices", "page", "Accepted", "False", "SchemaInvalid");
      assert.match(
        refused.message,
        /spec\.http\[0\]\.route\[0\]\.destination\.host .*; its last good version stays in use/,
      );
      const { body, of } = await read("virtualservices", "page");
      assert.deepEqual(body.status.validationMessages, [
        { level: "ERROR", type: { code: "schema-invalid", name: "SchemaInvalid" } },
      ]);
      assert.match(of("Reconciled")?.message ?? "", /^its last good version, of generation 1, is on 0 of 0 proxies$/);
      assert.equal(of("Reconciled")?.status, "False");
      await put("virtualservices", "page", page());
      await condition("virtualservices", "page", "Accepted", "True", "Accepted");
      assert.deepEqual((await read("virtualservices", "page")).body.status.validationMessages, []);
    },
  );

  await t.test("one of which no version was ever good says so", async () => {
    await put("destinationrules", "never", { host: "bank.test", trafficPolicy: { connectionPool: "large" } });
    await condition("destinationrules", "never", "Accepted", "False", "SchemaInvalid");
    await condition("destinationrules", "never", "Programmed", "False", "NotAccepted");
    await kubernetes.call("DELETE", `${SHOP}/destinationrules/never`);
  });

  await t.test("what names something that is not there is told so, until it is there", async () => {
    await put("virtualservices", "lost", {
      ...page("lost.test"),
      http: [{ route: [{ destination: { host: "later.test" } }] }],
    });
    const missing = await condition("virtualservices", "lost", "ResolvedRefs", "False", "ReferenceMissing");
    assert.match(missing.message, /later\.test/);
    await put("serviceentries", "later", {
      hosts: ["later.test"],
      ports: [{ number: 80, name: "http", protocol: "HTTP" }],
      resolution: "DNS",
    });
    await condition("virtualservices", "lost", "ResolvedRefs", "True", "ResolvedRefs");
  });

  await t.test("both of two that want one host are told, until one is gone", async () => {
    await put("virtualservices", "rival", page());
    const mine = await condition("virtualservices", "page", "Conflicted", "True", "ObjectConflict");
    assert.match(mine.message, /VirtualService shop\/rival/);
    const theirs = await condition("virtualservices", "rival", "Conflicted", "True", "ObjectConflict");
    assert.match(theirs.message, /VirtualService shop\/page/);
    await kubernetes.call("DELETE", `${SHOP}/virtualservices/rival`);
    await condition("virtualservices", "page", "Conflicted", "False", "NoConflicts");
  });

  await t.test("conditions of others stay, and what is taken away from ours comes back", async () => {
    const foreign = { type: "example.com/Reviewed", status: "True", reason: "Looked", message: "fine" };
    const before = await read("virtualservices", "page");
    const path = `${SHOP}/virtualservices/page/status`;
    const cleared = { status: { conditions: [foreign], observedGeneration: null } };
    assert.equal((await kubernetes.call("PATCH", path, cleared, MERGE)).status, 200);
    await condition("virtualservices", "page", "Accepted", "True", "Accepted");
    const { conditions } = await read("virtualservices", "page");
    assert.deepEqual(conditions[0], foreign);
    assert.equal(conditions.length, before.conditions.length + 1);
  });

  // Before there is a proxy: where numbers of proxies alone change, they are written half a minute later.
  await t.test("an object that nobody touches is written no more", async () => {
    const version = async () => (await read("virtualservices", "page")).body.metadata.resourceVersion;
    const before = { version: await version(), written: await written(first.ports.monitoring) };
    for (const attempts of [1, 2, 3]) {
      await put("virtualservices", "lost", { http: [{ ...page().http[0], retries: { attempts } }] });
      await condition("virtualservices", "lost", "Reconciled", "True", "Reconciled");
    }
    // The API server shows what was written before it has answered that it was.
    const writes = await until("a write for each change", async () => {
      const now = (await written(first.ports.monitoring)) - before.written;
      return now >= 3 && now;
    });
    assert.ok(writes <= 6, `${writes} writes for 3 changes`);
    assert.equal(await version(), before.version);
  });

  await t.test("a proxy's refusal is on the object that it came from, in Envoy's words", async (t) => {
    await startJoinedEnvoy(t, first, {
      pod: "web-0",
      listener: forwardTo("outbound|80||bank.test"),
      rootPem: await rootPem(),
    });
    await put("destinationrules", "bank", { host: "bank.test", trafficPolicy: { tls: { mode: "SIMPLE" } } });
    await condition("destinationrules", "bank", "Reconciled", "True", "Reconciled");
    assert.equal((await read("destinationrules", "bank")).of("Reconciled")?.message, "1 of 1 proxy up to date");
    await put("destinationrules", "bank", {
      trafficPolicy: { tls: { mode: "SIMPLE", caCertificates: "/no/such/file.pem" } },
    });
    const refused = await condition("destinationrules", "bank", "Programmed", "False", "ProxyRejected");
    assert.match(
      refused.message,
      /^1 of 1 proxy refuses it and keeps what it had; web-0\.shop: .*\/no\/such\/file\.pem/,
    );
    const missing = await condition("destinationrules", "bank", "Reconciled", "False", "Pending");
    assert.equal(missing.message, "0 of 1 proxy up to date");
    // What others made is used.
    assert.equal((await read("virtualservices", "page")).of("Programmed")?.status, "True");
    await put("destinationrules", "bank", { trafficPolicy: { tls: { caCertificates: null } } });
    await condition("destinationrules", "bank", "Programmed", "True", "Programmed");
    await condition("destinationrules", "bank", "Reconciled", "True", "Reconciled");
  });

  await t.test("of two replicas one writes, with what the other's proxies say", async (t) => {
    const second = await testControlPlane(t, {}, source);
    await startJoinedEnvoy(t, second, {
      pod: "web-1",
      listener: forwardTo("outbound|80||bank.test"),
      rootPem: await rootPem(),
    });
    await put("destinationrules", "bank", {
      trafficPolicy: { tls: { mode: "SIMPLE", caCertificates: "/no/such/other.pem" } },
    });
    const refused = await condition("destinationrules", "bank", "Programmed", "False", "ProxyRejected");
    assert.match(refused.message, /web-1\.shop: .*\/no\/such\/other\.pem/);
    assert.equal(await written(second.ports.monitoring), 0);
    assert.ok((await written(first.ports.monitoring)) > 0);
    const before = await holder();

    // The leader goes; the other takes over and writes.
    await first.stop();
    await until("the other to lead", async () => ![before, ""].includes(await holder()), SLOW);
    await put("virtualservices", "page", page("other.test"));
    await condition("virtualservices", "page", "Accepted", "True", "Accepted");
    await until("the other's write to be counted", async () => (await written(second.ports.monitoring)) > 0);
  });
});

async function written(port: number): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  return Number(/^trysail_status_writes_total\{result="written"\} (\d+)$/m.exec(text)?.[1] ?? 0);
}

const KINDS: Readonly<Record<string, string>> = {
  destinationrules: "DestinationRule",
  serviceentries: "ServiceEntry",
  virtualservices: "VirtualService",
};

function objectOf(resource: string, name: string, spec: object): object {
  return { apiVersion: "networking.istio.io/v1", kind: KINDS[resource], metadata: { name }, spec };
}
