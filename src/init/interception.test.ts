import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import {
  createTestNetwork,
  netnsMissing,
  type RunOptions,
  type TestHost,
  type TestNetwork,
} from "../../test/support/netns.ts";
import { interceptionFlags } from "../injection/init-container.ts";
import { type InterceptionSettings, interceptEverything } from "../injection/pod-contract.ts";
import { buildRemoval, buildRules } from "./interception.ts";

test("the rules that intercept everything are exactly these", () => {
  assert.deepEqual(buildRules(interceptEverything, "ipv4"), [
    ":ISTIO_INBOUND - [0:0]",
    ":ISTIO_IN_REDIRECT - [0:0]",
    ":ISTIO_OUTPUT - [0:0]",
    ":ISTIO_REDIRECT - [0:0]",
    "-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006",
    "-A ISTIO_INBOUND -p tcp --dport 15008 -j RETURN",
    "-A ISTIO_INBOUND -p tcp --dport 15020 -j RETURN",
    "-A ISTIO_INBOUND -p tcp --dport 15021 -j RETURN",
    "-A ISTIO_INBOUND -p tcp --dport 15090 -j RETURN",
    "-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT",
    "-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001",
    "-A ISTIO_OUTPUT -s 127.0.0.6/32 -o lo -j RETURN",
    "-A ISTIO_OUTPUT ! -d 127.0.0.1/32 -o lo -p tcp -m owner --uid-owner 1337 -j ISTIO_IN_REDIRECT",
    "-A ISTIO_OUTPUT -o lo -j RETURN",
    "-A ISTIO_OUTPUT -m owner --uid-owner 1337 -j RETURN",
    "-A ISTIO_OUTPUT -m owner --gid-owner 1337 -j RETURN",
    "-A ISTIO_OUTPUT -j ISTIO_REDIRECT",
    "-A PREROUTING -p tcp -j ISTIO_INBOUND",
    "-A OUTPUT -p tcp -j ISTIO_OUTPUT",
  ]);
});

test("ranges go to the rules of their own address family", () => {
  const settings = { ...interceptEverything, includeOutboundRanges: ["10.0.0.0/8", "fd00::/8"] };
  assert.ok(buildRules(settings, "ipv4").includes("-A ISTIO_OUTPUT -d 10.0.0.0/8 -j ISTIO_REDIRECT"));
  assert.ok(buildRules(settings, "ipv6").includes("-A ISTIO_OUTPUT -d fd00::/8 -j ISTIO_REDIRECT"));
  for (const family of ["ipv4", "ipv6"] as const) {
    assert.equal(buildRules(settings, family).filter((rule) => rule.endsWith("-j ISTIO_REDIRECT")).length, 1);
  }
});

test("removal takes away what is ours and nothing else", () => {
  const saved = [
    ...["*nat", ":PREROUTING ACCEPT [0:0]", ":OUTPUT ACCEPT [0:0]", ":ISTIO_OUTPUT - [0:0]", ":MINE - [0:0]"],
    ...["-A OUTPUT -p tcp -j MINE", "-A OUTPUT -p tcp -j ISTIO_OUTPUT", "-A ISTIO_OUTPUT -o lo -j RETURN", "COMMIT"],
  ].join("\n");
  assert.deepEqual(buildRemoval(saved), ["-D OUTPUT -p tcp -j ISTIO_OUTPUT", "-F ISTIO_OUTPUT", "-X ISTIO_OUTPUT"]);
  assert.deepEqual(buildRemoval("*nat\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"), []);
});

const skip = netnsMissing();

for (const family of ["ipv4", "ipv6"] as const) {
  test(`with ${family}, connections meet Envoy exactly where they should`, { skip }, async (t) => {
    const { machine, pod } = await listeningNetwork(t);
    await init(t, pod, interceptEverything);
    const there = machine[family];
    const here = pod[family];
    const loopback = family === "ipv4" ? "127.0.0.1" : "::1";
    const expected: readonly [from: TestHost, uid: number, to: string, port: number, answer: string, what: string][] = [
      [machine, 0, here, 8080, "pod 15006", "inbound"],
      [machine, 0, here, 15021, "pod 15021", "inbound to the status port"],
      [machine, 0, here, 15090, "pod 15090", "inbound to the metrics port"],
      [pod, 1000, there, 8080, "pod 15001", "outbound of the app"],
      [pod, 0, there, 8080, "pod 15001", "outbound of root"],
      [pod, 1337, there, 8080, "machine 8080", "outbound of Envoy"],
      [pod, 1000, loopback, 8080, "pod 8080", "the app's own loopback"],
      [pod, 1000, here, 8080, "pod 8080", "the app's own address"],
      [pod, 1337, loopback, 8080, "pod 8080", "Envoy to the app's loopback"],
      [pod, 1337, here, 8080, "pod 15006", "a self-call that Envoy sends back to its own pod"],
    ];
    for (const [from, uid, to, port, answer, what] of expected) {
      assert.equal(await ask(from, to, port, { uid }), answer, what);
    }
    assert.equal(await ask(pod, there, 8080, { uid: 1000, gid: 1337 }), "machine 8080", "outbound of Envoy's group");
    if (family === "ipv4") {
      const fromEnvoy = await ask(pod, here, 8080, { uid: 1337, source: "127.0.0.6" });
      assert.equal(fromEnvoy, "pod 8080", "what Envoy hands to the app");
    }
  });
}

interface SettingsCase {
  readonly title: string;
  readonly settings: Partial<InterceptionSettings>;
  readonly inbound: Readonly<Record<number, string>>;
  readonly outbound: Readonly<Record<number, string>>;
}

const settingsCases: readonly SettingsCase[] = [
  {
    title: "excluded ports",
    settings: { excludeInboundPorts: [9090], excludeOutboundPorts: [9090] },
    inbound: { 8080: "pod 15006", 9090: "pod 9090" },
    outbound: { 8080: "pod 15001", 9090: "machine 9090" },
  },
  {
    title: "included inbound ports alone",
    settings: { includeInboundPorts: [9090] },
    inbound: { 8080: "pod 8080", 9090: "pod 15006" },
    outbound: { 8080: "pod 15001" },
  },
  {
    title: "no inbound port",
    settings: { includeInboundPorts: [] },
    inbound: { 8080: "pod 8080" },
    outbound: { 8080: "pod 15001" },
  },
  {
    title: "an excluded range",
    settings: { excludeOutboundRanges: ["10.99.0.0/24"] },
    inbound: { 8080: "pod 15006" },
    outbound: { 8080: "machine 8080" },
  },
  {
    title: "an included range that is elsewhere, and a port",
    settings: { includeOutboundRanges: ["10.98.0.0/16"], includeOutboundPorts: [9090] },
    inbound: { 8080: "pod 15006" },
    outbound: { 8080: "machine 8080", 9090: "pod 15001" },
  },
  {
    title: "an included range that is here",
    settings: { includeOutboundRanges: ["10.99.0.0/16"] },
    inbound: {},
    outbound: { 8080: "pod 15001" },
  },
  {
    title: "no outbound range",
    settings: { includeOutboundRanges: [] },
    inbound: {},
    outbound: { 8080: "machine 8080" },
  },
];

test("settings narrow what is intercepted, and each run replaces the last", { skip }, async (t) => {
  const { machine, pod } = await listeningNetwork(t);
  for (const { title, settings, inbound, outbound } of settingsCases) {
    await init(t, pod, { ...interceptEverything, ...settings });
    for (const [port, answer] of Object.entries(inbound)) {
      assert.equal(await ask(machine, pod.ipv4, Number(port)), answer, `${title}, inbound ${port}`);
    }
    for (const [port, answer] of Object.entries(outbound)) {
      assert.equal(await ask(pod, machine.ipv4, Number(port), { uid: 1000 }), answer, `${title}, outbound ${port}`);
    }
  }
});

test("twice is once, others' rules stay, and --clean leaves only those", { skip }, async (t) => {
  const { machine, pod } = await createTestNetwork(t);
  const rules = async () => (await pod.run("iptables-save", ["-t", "nat"])).replace(/^#.*\n/gm, "");
  await pod.run("iptables", ["-t", "nat", "-A", "OUTPUT", "-p", "tcp", "--dport", "1", "-j", "RETURN"]);
  const before = await rules();
  await init(t, pod, interceptEverything);
  const once = await rules();
  assert.notEqual(once, before);
  await init(t, pod, interceptEverything);
  assert.equal(await rules(), once);
  await init(t, pod, interceptEverything, ["--clean"]);
  assert.equal(await rules(), before);
  await init(t, pod, interceptEverything, ["--clean"]);
  assert.equal(await rules(), before, "cleaning twice is cleaning once");
  assert.doesNotMatch(await machine.run("iptables-save", []), /ISTIO/);
});

test("--dry-run prints the rules and changes nothing", { skip }, async (t) => {
  const { pod } = await createTestNetwork(t);
  const printed = await init(t, pod, interceptEverything, ["--dry-run"]);
  for (const rule of buildRules(interceptEverything, "ipv4")) assert.ok(printed.includes(`\n${rule}\n`), rule);
  assert.doesNotMatch(await pod.run("iptables-save", ["-t", "nat"]), /ISTIO/);
  await pod.run("iptables-restore", ["--test"], { input: printed.slice(0, printed.indexOf("# ipv6")) });
});

test("without the capability, or the tool, one line says what to do", { skip }, async (t) => {
  const { pod } = await createTestNetwork(t);
  const denied = init(t, pod, interceptEverything, ["--clean"], { uid: 1000 });
  await assert.rejects(denied, /iptables-save failed: .*; it needs root with the capabilities NET_ADMIN and NET_RAW/);
  const missing = init(t, pod, interceptEverything, ["--clean"], { path: "/nowhere" });
  await assert.rejects(missing, /iptables-save was not found; the init image must have the package iptables/);
});

/** `trysail init` as the init container runs it, for both address families. */
async function init(
  t: TestContext,
  host: TestHost,
  settings: InterceptionSettings,
  mode: readonly ("--clean" | "--dry-run")[] = [],
  options: { uid?: number; path?: string } = {},
): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "trysail-init-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const name of ["labels", "annotations"]) writeFileSync(join(folder, name), "");
  const env = {
    PATH: options.path ?? process.env.PATH,
    POD_NAME: "web-0",
    POD_NAMESPACE: "shop",
    SERVICE_ACCOUNT: "web",
    INSTANCE_IP: host.ipv4,
    INSTANCE_IPS: `${host.ipv4},${host.ipv6}`,
    PROXY_CONFIG: JSON.stringify({ discoveryAddress: "trysail.trysail-system.svc:15012" }),
  };
  const program = `
    import { initCommand } from ${JSON.stringify(import.meta.resolve("../cli/init.ts"))};
    await initCommand().parseAsync(process.argv.slice(1), { from: "user" });`;
  const flags = [
    ...interceptionFlags(settings),
    "--pod-info",
    folder,
    "--bootstrap",
    join(folder, "envoy.json"),
    ...mode,
  ];
  const args = ["--input-type=module", "-e", program, "--", ...flags];
  return host.run(process.execPath, args, { env, ...(options.uid === undefined ? {} : { uid: options.uid }) });
}

const ports = [8080, 9090, 15001, 15006, 15021, 15090];

/** A network in which both hosts answer every connection with who was reached on which port. */
async function listeningNetwork(t: TestContext): Promise<TestNetwork> {
  const network = await createTestNetwork(t);
  for (const name of ["machine", "pod"] as const) {
    const server = `
      const net = require("node:net");
      const ports = ${JSON.stringify(ports)};
      const listening = ports.map((port) => new Promise((resolve) => {
        net.createServer((socket) => socket.on("error", () => {}).end("${name} " + port)).listen(port, "::", resolve);
      }));
      Promise.all(listening).then(() => console.log("listening"));`;
    const { stdout } = network[name].start(process.execPath, ["-e", server]);
    assert.match(String(await once(stdout ?? assert.fail(), "data")), /listening/);
  }
  return network;
}

/** Who answers a connection from `host`. */
function ask(
  host: TestHost,
  to: string,
  port: number,
  options: RunOptions & { source?: string } = {},
): Promise<string> {
  const target = { host: to, port, ...(options.source === undefined ? {} : { localAddress: options.source }) };
  const client = `require("node:net").connect(${JSON.stringify(target)}).pipe(process.stdout);`;
  return host.run(process.execPath, ["-e", client], options);
}
