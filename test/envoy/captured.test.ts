import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { envoyMissing } from "../support/envoy.ts";
import { answerWithName, ask, runInit } from "../support/intercepted-pod.ts";
import { startInterceptedProxy } from "../support/intercepted-proxy.ts";
import { document, endpoint, istio, meshConfig, service } from "../support/manifests.ts";
import { createTestNetwork, netnsMissing, type TestHost } from "../support/netns.ts";

/** What needs real interception to be seen: the addresses that an application dials, and the names that it asks for. */

const skip = netnsMissing() || envoyMissing();
const app = { uid: 1000 };

/** An application on port 9000 that tells what it was asked by. */
async function startApp(host: TestHost): Promise<void> {
  const server = `
    const http = require("node:http").createServer((request, response) =>
      response.end("http by " + request.headers["x-forwarded-client-cert"]));
    require("node:net").createServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", (bytes) => {
        if (!bytes.toString().startsWith("GET ")) return socket.end("tcp " + bytes);
        socket.unshift(bytes);
        http.emit("connection", socket);
      });
    }).listen(9000, "::", () => console.log("listening"));`;
  const { stdout } = host.start(process.execPath, ["-e", server]);
  assert.match(String(await once(stdout ?? assert.fail(), "data")), /listening/);
}

test("a port that declares nothing: what is HTTP is told from the rest, also inside of mutual TLS", {
  skip,
}, async (t) => {
  const { pod } = await createTestNetwork(t);
  await startApp(pod);
  await runInit(t, pod, []);
  const envoy = await startInterceptedProxy(
    t,
    pod,
    [
      service({ name: "web", ports: { odd: 9000 }, clusterIP: "10.96.0.5" }),
      endpoint("web", { name: "web-0", ip: pod.ipv4 }, { odd: 9000 }),
      istio("PeerAuthentication", "strict", { mtls: { mode: "STRICT" } }),
    ].join(""),
  );
  const count = async (stat: string) => {
    const line = (await envoy.admin(`/stats?filter=${stat}`)).split("\n").find((text) => text.startsWith(stat));
    return Number(line?.split(": ")[1] ?? 0);
  };
  const answer = await pod.run("curl", ["-s", "-m", "15", "http://10.96.0.5:9000/"], app);
  assert.match(answer, /^http by .*URI=spiffe:\/\/cluster\.local\/ns\/shop\/sa\/default/);
  const other = ["-s", "-m", "15", "-H", "Host: www.example.com", "http://10.96.0.5:9000/"];
  assert.match(await pod.run("curl", other, app), /^http by .*URI=spiffe/, "whatever the host of the request");
  assert.equal(await count("http.inbound_0.0.0.0_9000.downstream_rq_total"), 2);
  // Not ended at once: Envoy drops who hangs up while it still looks at the first bytes.
  const speak = `
    const socket = require("node:net").connect(9000, "10.96.0.5");
    socket.write("hi\\n");
    socket.pipe(process.stdout);`;
  const words = await pod.run(process.execPath, ["-e", speak], app);
  assert.equal(words, "tcp hi\n");
  assert.equal(await count("http.inbound_0.0.0.0_9000.downstream_rq_total"), 2, "the words were no request");
  assert.ok((await count("cluster.outbound|9000||web.shop.svc.cluster.local.ssl.handshake")) >= 2);
});

test("a port that the workload's Sidecar leaves out: requests are known for such all the same", { skip }, async (t) => {
  const { pod } = await createTestNetwork(t);
  await startApp(pod);
  await runInit(t, pod, []);
  const envoy = await startInterceptedProxy(
    t,
    pod,
    [
      service({ name: "web", ports: { http: 9000 }, clusterIP: "10.96.0.5" }),
      endpoint("web", { name: "web-0", ip: pod.ipv4 }, { http: 9000 }),
      istio("Sidecar", "other", { ingress: [{ port: { number: 9100, name: "http", protocol: "HTTP" } }] }),
      istio("PeerAuthentication", "strict", { mtls: { mode: "STRICT" } }),
      istio("AuthorizationPolicy", "closed", {
        action: "DENY",
        rules: [{ to: [{ operation: { paths: ["/closed"] } }] }],
      }),
    ].join(""),
  );
  const answer = (path: string) => pod.run("curl", ["-s", "-m", "15", `http://10.96.0.5:9000${path}`], app);
  assert.match(await answer("/open"), /^http by .*URI=spiffe:\/\/cluster\.local\/ns\/shop\/sa\/default/);
  assert.equal(await answer("/closed"), "RBAC: access denied");
  const stats = await envoy.admin("/stats?filter=http.InboundPassthroughCluster.downstream_rq_total");
  assert.match(stats, /downstream_rq_total: 2$/m);
});

const db = (name: string, address: string, port: number, more: object = {}) =>
  istio("ServiceEntry", name, {
    hosts: [`${name}.example.com`],
    ports: [{ number: 5000, name: "tcp", protocol: "TCP" }],
    resolution: "STATIC",
    endpoints: [{ address, ports: { tcp: port } }],
    ...more,
  });

test("the sidecar answers for names of the mesh, so that hosts without addresses on one port are told apart", {
  skip,
}, async (t) => {
  const { machine, pod } = await createTestNetwork(t);
  await answerWithName(machine, "machine", [8080, 9090]);
  await resolveBy(t, machine, machine.ipv4);
  await runInit(t, pod, ["--redirect-dns"]);
  await startInterceptedProxy(
    t,
    pod,
    [
      db("one", machine.ipv4, 8080),
      db("two", machine.ipv4, 9090),
      service({ name: "far", namespace: "data", ports: { http: 80 }, clusterIP: "10.96.0.7" }),
      service({ name: "db", ports: { tcp: 5000 } }),
      endpoint("db", { name: "db-0", ip: "10.99.0.77" }, { tcp: 5000 }),
      document({
        apiVersion: "discovery.k8s.io/v1",
        kind: "EndpointSlice",
        metadata: { name: "db-going", namespace: "shop", labels: { "kubernetes.io/service-name": "db" } },
        addressType: "IPv4",
        ports: [{ name: "tcp", port: 5000 }],
        endpoints: [{ addresses: ["10.99.0.78"], conditions: { ready: false, serving: true, terminating: true } }],
      }),
    ].join(""),
    { DNS_CAPTURE: "true" },
  );
  const lookup = async (name: string) => {
    const script = `
      const resolver = new (require("node:dns").Resolver)({ timeout: 5000, tries: 3 });
      resolver.setServers([${JSON.stringify(machine.ipv4)}]);
      resolver.resolve4(${JSON.stringify(name)}, (error, found) => console.log(error ? error.code : found.join()));`;
    return (await pod.run(process.execPath, ["-e", script], app)).trim();
  };
  const addresses = [await lookup("one.example.com"), await lookup("two.example.com")];
  for (const address of addresses) assert.match(address, /^240\.240\.\d+\.\d+$/);
  assert.deepEqual(await Promise.all(addresses.map((address) => ask(pod, address, 5000, app))), [
    "machine 8080",
    "machine 9090",
  ]);
  assert.equal(await lookup("far.data.svc.cluster.local"), "10.96.0.7");
  assert.equal(
    await lookup("db.shop.svc.cluster.local"),
    "10.99.0.77",
    "a headless service's pods, but for those that end",
  );
  assert.equal(await lookup("elsewhere.example.org"), "192.0.2.53", "any other name is asked of the pod's resolver");
});

test("a resolver that asks for both kinds of addresses from one port is told that a name of the mesh has the one alone", {
  skip,
}, async (t) => {
  const { machine, pod } = await createTestNetwork(t);
  await resolveBy(t, machine, machine.ipv4);
  await runInit(t, pod, ["--redirect-dns"], { env: { INSTANCE_IPS: pod.ipv4 } });
  await startInterceptedProxy(t, pod, db("one", machine.ipv4, 8080), { DNS_CAPTURE: "true", INSTANCE_IPS: pod.ipv4 });
  // As musl does it, which takes a "no such name" to either query for the answer to both.
  const query = `
    const packet = require(${JSON.stringify(DNS_PACKET)});
    const socket = require("node:dgram").createSocket("udp4");
    const questions = [["A", "one.example.com"], ["AAAA", "one.example.com"], ["A", "elsewhere.test"], ["TXT", "asked.test"]];
    const ask = () => {
      const [type, name] = questions[0];
      socket.send(packet.encode({ type: "query", id: 1, flags: packet.RECURSION_DESIRED, questions: [{ type, name }] }), 53, ${JSON.stringify(machine.ipv4)});
    };
    socket.on("message", (message) => {
      const { rcode, answers } = packet.decode(message);
      console.log(questions.shift().join(" "), rcode, answers.map(({ data }) => String(data)).join());
      if (questions.length === 0) socket.close(); else ask();
    });
    ask();`;
  const [a = "", aaaa, elsewhere, txt] = (await pod.run(process.execPath, ["-e", query], app)).trim().split("\n");
  assert.match(a, /^A one\.example\.com NOERROR 240\.240\.\d+\.\d+$/);
  assert.equal(aaaa?.trim(), "AAAA one.example.com NOERROR");
  assert.equal(elsewhere, "A elsewhere.test NOERROR 192.0.2.53");
  // Envoy does not try its own search domains on a name that the asker has tried its own on.
  assert.equal(txt, "TXT asked.test NOERROR AAAA one.example.com A elsewhere.test");
});

const DNS_PACKET = `${import.meta.dirname}/../../node_modules/dns-packet`;

/**
 * A resolver on `host` becomes that of everything in the test's network. To it every name is 192.0.2.53, without an IPv6
 * address, and has the queries that came so far for a text.
 */
async function resolveBy(t: TestContext, host: TestHost, address: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "trysail-resolver-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "resolv.conf");
  writeFileSync(file, `nameserver ${address}\nsearch shop.svc.cluster.local svc.cluster.local\noptions ndots:5\n`);
  await host.run("mount", ["--bind", file, "/etc/resolv.conf"]);
  const server = `
    const packet = require(${JSON.stringify(DNS_PACKET)});
    const socket = require("node:dgram").createSocket("udp4");
    // Each once: a query may be asked again where its answer comes late.
    const asked = new Set();
    socket.on("message", (message, from) => {
      const { id, questions } = packet.decode(message);
      const answers = questions.flatMap(({ type, name }) => {
        if (type === "A") return [{ type, name, ttl: 1, data: "192.0.2.53" }];
        return type === "TXT" ? [{ type, name, ttl: 1, data: [...asked].join(" ") }] : [];
      });
      for (const { type, name } of questions) asked.add(type + " " + name);
      socket.send(packet.encode({ type: "response", id, questions, answers }), from.port, from.address);
    });
    socket.bind(53, () => console.log("listening"));`;
  const { stdout } = host.start(process.execPath, ["-e", server]);
  assert.match(String(await once(stdout ?? assert.fail(), "data")), /listening/);
}

test("what the mesh does not know goes where it was dialled, also on a port that HTTP services share", {
  skip,
}, async (t) => {
  const { machine, pod } = await createTestNetwork(t);
  await answerWithName(machine, "machine", [8080, 9090]);
  await runInit(t, pod, []);
  const shared = [
    service({ name: "web", ports: { http: 8080 }, clusterIP: "10.96.0.5" }),
    endpoint("web", { name: "web-0", ip: pod.ipv4 }, { http: 8080 }),
    db("any", "", 0, {
      hosts: ["*.any.example.com"],
      resolution: "NONE",
      endpoints: [],
      addresses: ["10.99.0.0/24"],
    }).replaceAll("5000", "9090"),
  ].join("");
  await startInterceptedProxy(t, pod, shared + meshConfig("outboundTrafficPolicy: { mode: ALLOW_ANY }"));
  assert.equal(await ask(pod, machine.ipv4, 8080, app), "machine 8080", "no HTTP, to an HTTP port");
  assert.equal(await ask(pod, machine.ipv4, 9090, app), "machine 9090", "by a block of addresses");
});

test("connections over IPv6 find their service, and what is not known its own way", { skip }, async (t) => {
  const { machine, pod } = await createTestNetwork(t);
  await answerWithName(machine, "machine", [8080, 9090]);
  await runInit(t, pod, []);
  const both = (name: string, clusterIPs: readonly string[], ports: Readonly<Record<string, number>>) =>
    service({ name, ports, clusterIP: clusterIPs[0] ?? "", spec: { clusterIPs, ipFamilies: ["IPv4", "IPv6"] } }) +
    document({
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: { name, namespace: "shop", labels: { "kubernetes.io/service-name": name } },
      addressType: "IPv6",
      ports: Object.keys(ports).map((name) => ({ name, port: 9090 })),
      endpoints: [{ addresses: [machine.ipv6] }],
    });
  await startInterceptedProxy(
    t,
    pod,
    both("db", ["10.96.0.5", "fd99:1::5"], { tcp: 5000 }) + both("web", ["10.96.0.6", "fd99:1::6"], { http: 8080 }),
    { INSTANCE_IPS: `${pod.ipv4},${pod.ipv6}` },
  );
  assert.equal(await ask(pod, "fd99:1::5", 5000, app), "machine 9090", "by the service's address");
  assert.equal(await ask(pod, "10.96.0.5", 5000, app), "machine 9090", "by its other one");
  assert.equal(await ask(pod, machine.ipv6, 9090, app), "machine 9090", "on a port that nobody has");
  assert.equal(await ask(pod, machine.ipv6, 8080, app), "machine 8080", "no HTTP, to an HTTP port");
});

test("PASSTHROUGH sends each connection to the address that was dialled, whatever endpoints there are", {
  skip,
}, async (t) => {
  const { machine, pod } = await createTestNetwork(t);
  await answerWithName(machine, "machine", [8080, 8081, 9090]);
  await runInit(t, pod, []);
  const dialled = (name: string, port: number) =>
    service({ name, ports: { tcp: port }, clusterIP: machine.ipv4 }) +
    endpoint(name, { name: `${name}-0`, ip: machine.ipv4 }, { tcp: 9090 });
  await startInterceptedProxy(
    t,
    pod,
    [
      dialled("balanced", 8080),
      dialled("passed-on", 8081),
      istio("DestinationRule", "passed-on", {
        host: "passed-on",
        trafficPolicy: { loadBalancer: { simple: "PASSTHROUGH" } },
      }),
    ].join(""),
  );
  assert.equal(await ask(pod, machine.ipv4, 8080, app), "machine 9090");
  assert.equal(await ask(pod, machine.ipv4, 8081, app), "machine 8081");
});
