import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { envoyMissing } from "../support/envoy.ts";
import { runInit } from "../support/intercepted-pod.ts";
import { startInterceptedProxy } from "../support/intercepted-proxy.ts";
import { endpoint, istio, pod as podObject, service } from "../support/manifests.ts";
import { createTestNetwork, netnsMissing, type TestHost } from "../support/netns.ts";

/** Who answers at addresses that are no Service's own: pods', nodes' and the caller's, dialled past a real Envoy. */

const skip = netnsMissing() || envoyMissing();
const app = { uid: 1000 };
const [ONE, OTHER, NODE] = ["10.99.0.11", "10.99.0.12", "10.99.0.20"];

/** Answers at every address of a host with the one, and the port, that was reached. */
async function answerAt(host: TestHost, ports: readonly number[]): Promise<void> {
  const server = `
    const answer = ({ socket }, response) => response.end(socket.localAddress + ":" + socket.localPort);
    Promise.all(${JSON.stringify(ports)}.map((port) => new Promise((resolve) =>
      require("node:http").createServer(answer).listen(port, "0.0.0.0", resolve)
    ))).then(() => console.log("listening"));`;
  const { stdout } = host.start(process.execPath, ["-e", server]);
  assert.match(String(await once(stdout ?? assert.fail(), "data")), /listening/);
}

test("whoever dials an address that is no Service's gets who is there, whatever Services have that port", {
  skip,
}, async (t) => {
  const { machine, pod } = await createTestNetwork(t);
  for (const ip of [ONE, OTHER, NODE]) await machine.run("ip", ["addr", "add", `${ip}/24`, "dev", "cable"]);
  await answerAt(machine, [8080, 9001, 9002, 30080, 30081]);
  await answerAt(pod, [9000, 9100]);
  await runInit(t, pod, []);
  const answers = (host: string, body: string) =>
    istio("VirtualService", host, {
      hosts: [host],
      http: [{ directResponse: { status: 200, body: { string: body } } }],
    });
  /** A pod in the node's own network. */
  const onNode = (name: string, port: number) =>
    podObject({ name: `${name}-0`, ip: NODE, labels: { app: name } }) +
    endpoint(name, { name: `${name}-0`, ip: NODE }, { http: port });
  await startInterceptedProxy(
    t,
    pod,
    [
      service({ name: "shown", ports: { http: 8080 }, clusterIP: "10.96.0.5" }),
      ...[ONE, OTHER].map((ip, at) => endpoint("shown", { name: `shown-${at}`, ip }, { http: 8080 })),
      answers("shown", "routed"),
      // Their ports are those at which a node forwards to other Services.
      service({ name: "requests", ports: { http: 30080 }, clusterIP: "10.96.0.6" }),
      answers("requests", "routed"),
      service({ name: "bytes", ports: { tcp: 30081 }, clusterIP: "10.96.0.7" }),
      endpoint("bytes", { name: "bytes-0", ip: ONE }, { tcp: 8080 }),
      service({ name: "first", ports: { http: 80 }, clusterIP: "10.96.0.8" }),
      onNode("first", 9001),
      service({ name: "second", ports: { http: 80 }, clusterIP: "10.96.0.9" }),
      onNode("second", 9002),
      service({ name: "web", ports: { http: { port: 80, targetPort: 9000 } }, clusterIP: "10.96.0.10" }),
      endpoint("web", { name: "web-0", ip: pod.ipv4 }, { http: 9000 }),
    ].join(""),
  );
  const dialled = (address: string, from = pod) => from.run("curl", ["-s", "-m", "15", `http://${address}/`], app);

  await t.test("a pod's: that pod, past its Service's routes", async () => {
    assert.equal(await dialled("10.96.0.5:8080"), "routed");
    for (const ip of [ONE, OTHER]) assert.equal(await dialled(`${ip}:8080`), `${ip}:8080`);
  });

  await t.test("a node's: who is there, though Services have the number of a node port for their own", async () => {
    assert.equal(await dialled("10.96.0.6:30080"), "routed");
    assert.equal(await dialled(`${NODE}:30080`), `${NODE}:30080`);
    assert.equal(await dialled("10.96.0.7:30081"), `${ONE}:8080`);
    assert.equal(await dialled(`${NODE}:30081`), `${NODE}:30081`);
  });

  await t.test("Services whose pods share their node's address are told apart by port", async () => {
    assert.equal(await dialled("10.96.0.8:80"), `${NODE}:9001`);
    assert.equal(await dialled("10.96.0.9:80"), `${NODE}:9002`);
  });

  await t.test("a pod that calls itself gets itself, by its Service's address and by its own", async () => {
    for (const address of ["10.96.0.10:80", `${pod.ipv4}:9000`])
      assert.equal(await dialled(address), `${pod.ipv4}:9000`, address);
  });

  await t.test("a port of a pod that no Service leads to is open to others nonetheless", async () => {
    assert.equal(await dialled(`${pod.ipv4}:9100`, machine), `${pod.ipv4}:9100`);
  });
});
