import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";

const program = join(import.meta.dirname, "trysail.ts");

/** What `trysail translate` prints for the pod `web-0` with these annotations, in front of further objects. */
async function translated(t: TestContext, annotations: object, ...objects: object[]): Promise<string> {
  return translatedWith(t, null, annotations, ...objects);
}

/** The same where the control plane is given these settings of injection. */
async function translatedWith(
  t: TestContext,
  settings: object | null,
  annotations: object,
  ...objects: object[]
): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "trysail-translate-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "web-0", namespace: "shop", labels: { app: "web" }, annotations },
    spec: { containers: [{ name: "app" }] },
    status: { podIP: "10.0.0.1", podIPs: [{ ip: "10.0.0.1" }, { ip: "fd00::1" }] },
  };
  await writeFile(join(folder, "mesh.yaml"), [pod, ...objects].map((one) => JSON.stringify(one)).join("\n---\n"));
  const command = [program, "translate", "-f", folder, "--proxy", "web-0.shop", "-o", "yaml"];
  if (settings !== null) {
    const file = join(folder, "settings.txt");
    await writeFile(file, JSON.stringify(settings));
    command.push("--injection-config", file);
  }
  const { stdout } = await promisify(execFile)(process.execPath, command, { maxBuffer: 64 * 1024 * 1024 });
  return stdout;
}

const DNS = { proxyMetadata: { ISTIO_META_DNS_CAPTURE: "true" } };
const meshConfig = {
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name: "istio", namespace: "istio-system" },
  data: { mesh: JSON.stringify({ defaultConfig: DNS }) },
};
const proxyConfig = {
  apiVersion: "networking.istio.io/v1beta1",
  kind: "ProxyConfig",
  metadata: { name: "web", namespace: "shop" },
  spec: { selector: { matchLabels: { app: "web" } }, environmentVariables: DNS.proxyMetadata },
};
const answersDns = /portValue: 15053/;

test("a proxy's own settings count in what it would be sent: none", async (t) => {
  assert.doesNotMatch(await translated(t, {}), answersDns);
});

const sources: readonly [what: string, annotations: object, objects: readonly object[]][] = [
  ["an annotation", { "proxy.istio.io/config": JSON.stringify(DNS) }, []],
  ["the mesh config", {}, [meshConfig]],
  ["a ProxyConfig", {}, [proxyConfig]],
];
for (const [what, annotations, objects] of sources) {
  test(`a proxy's own settings count in what it would be sent: by ${what}`, async (t) => {
    assert.match(await translated(t, annotations, ...objects), answersDns);
  });
}

test("the operator's settings count in what it would be sent, under the mesh config and the pod's own", async (t) => {
  const settings = { proxyConfig: DNS, interceptionMode: "TPROXY" };
  const plain = await translatedWith(t, settings, {});
  assert.match(plain, answersDns);
  assert.match(plain, /transparent: true/);
  const no = JSON.stringify({ proxyMetadata: { ISTIO_META_DNS_CAPTURE: "false" } });
  assert.doesNotMatch(await translatedWith(t, settings, { "proxy.istio.io/config": no }), answersDns);
});

test("a proxy is where the operator's settings say, so what is in another network is reached through its gateway", async (t) => {
  const gateways = [{ address: "192.0.2.7", port: 15443 }];
  const networks = { networks: { south: { endpoints: [{ fromCidr: "10.9.0.0/16" }], gateways } } };
  const entry = {
    apiVersion: "networking.istio.io/v1",
    kind: "ServiceEntry",
    metadata: { name: "cart", namespace: "shop" },
    spec: {
      hosts: ["cart.test"],
      location: "MESH_INTERNAL",
      resolution: "STATIC",
      ports: [{ number: 80, name: "http", protocol: "HTTP" }],
      endpoints: [{ address: "10.9.0.1", network: "south", labels: { "security.istio.io/tlsMode": "istio" } }],
    },
  };
  const there = { ...meshConfig, data: { ...meshConfig.data, meshNetworks: JSON.stringify(networks) } };
  assert.match(await translatedWith(t, { network: "north" }, {}, there, entry), /address: 192\.0\.2\.7/);
  assert.doesNotMatch(await translatedWith(t, { network: "south" }, {}, there, entry), /address: 192\.0\.2\.7/);
});

test("a template that makes gateways by default makes the proxy one", async (t) => {
  const settings = { defaultTemplates: ["edge"], aliases: { edge: ["gateway"] } };
  assert.match(await translatedWith(t, settings, {}), /id: router~/);
  assert.match(await translatedWith(t, settings, { "inject.istio.io/templates": "sidecar" }), /id: sidecar~/);
});

test("a pod's second family of addresses and its mode of interception count in what it would be sent", async (t) => {
  const plain = await translated(t, {});
  assert.match(plain, /address: "?::"?$/m);
  assert.doesNotMatch(plain, /transparent: true/);
  assert.match(await translated(t, { "sidecar.istio.io/interceptionMode": "TPROXY" }), /transparent: true/);
});

test("a pod that could not be injected for its annotations is told of, and nothing is printed", async (t) => {
  await assert.rejects(translated(t, { "sidecar.istio.io/interceptionMode": "MAGIC" }), {
    code: 1,
    stdout: "",
    stderr: /interceptionMode/,
  });
});
