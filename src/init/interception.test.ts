import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { ask, type InitOptions, listeningNetwork, runInit } from "../../test/support/intercepted-pod.ts";
import { createTestNetwork, netnsMissing, type TestHost } from "../../test/support/netns.ts";
import { interceptionFlags } from "../injection/init-container.ts";
import { type InterceptionSettings, interceptEverything } from "../injection/pod-contract.ts";
import { buildRules } from "./interception.ts";
import { redirectEverything } from "./pod-interception.ts";
import { buildRemoval } from "./rules-transaction.ts";

test("the rules that intercept everything are exactly these", () => {
  assert.deepEqual(buildRules(redirectEverything, "ipv4"), {
    raw: [],
    mangle: [],
    nat: [
      ":ISTIO_INBOUND - [0:0]",
      ":ISTIO_IN_REDIRECT - [0:0]",
      ":ISTIO_OUTPUT - [0:0]",
      ":ISTIO_REDIRECT - [0:0]",
      "-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006",
      "-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001",
      "-A ISTIO_INBOUND -p tcp --dport 15008 -j RETURN",
      "-A ISTIO_INBOUND -p tcp --dport 15020 -j RETURN",
      "-A ISTIO_INBOUND -p tcp --dport 15021 -j RETURN",
      "-A ISTIO_INBOUND -p tcp --dport 15090 -j RETURN",
      "-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT",
      "-A ISTIO_OUTPUT -s 127.0.0.6/32 -o lo -j RETURN",
      "-A ISTIO_OUTPUT ! -d 127.0.0.1/32 -o lo -p tcp -m owner --uid-owner 1337 -j ISTIO_IN_REDIRECT",
      "-A ISTIO_OUTPUT ! -d 127.0.0.1/32 -o lo -p tcp -m owner --gid-owner 1337 -j ISTIO_IN_REDIRECT",
      "-A ISTIO_OUTPUT -o lo -j RETURN",
      "-A ISTIO_OUTPUT -m owner --uid-owner 1337 -j RETURN",
      "-A ISTIO_OUTPUT -m owner --gid-owner 1337 -j RETURN",
      "-A ISTIO_OUTPUT -j ISTIO_REDIRECT",
      "-A PREROUTING -p tcp -j ISTIO_INBOUND",
      "-A OUTPUT -p tcp -j ISTIO_OUTPUT",
    ],
  });
});

test("the rules that TPROXY needs are exactly these, and outbound is as ever", () => {
  const { raw, mangle, nat } = buildRules({ ...redirectEverything, mode: "TPROXY" }, "ipv6");
  assert.deepEqual(raw, []);
  assert.deepEqual(mangle, [
    ":ISTIO_INBOUND - [0:0]",
    ":ISTIO_TPROXY - [0:0]",
    ":ISTIO_OUTPUT - [0:0]",
    "-A ISTIO_TPROXY -p tcp -j TPROXY --on-port 15006 --tproxy-mark 1337/0xffffffff",
    "-A ISTIO_INBOUND -i lo -j RETURN",
    "-A ISTIO_INBOUND -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN",
    "-A ISTIO_INBOUND -p tcp --dport 15008 -j RETURN",
    "-A ISTIO_INBOUND -p tcp --dport 15020 -j RETURN",
    "-A ISTIO_INBOUND -p tcp --dport 15021 -j RETURN",
    "-A ISTIO_INBOUND -p tcp --dport 15090 -j RETURN",
    "-A ISTIO_INBOUND -p tcp -j ISTIO_TPROXY",
    "-A ISTIO_OUTPUT -m mark --mark 1337 -j CONNMARK --save-mark",
    "-A ISTIO_OUTPUT -m connmark --mark 1337 -j CONNMARK --restore-mark",
    "-A PREROUTING -p tcp -j ISTIO_INBOUND",
    "-A OUTPUT -p tcp -j ISTIO_OUTPUT",
  ]);
  assert.ok(nat.includes("-A ISTIO_OUTPUT -j ISTIO_REDIRECT"));
  assert.ok(nat.includes("-A ISTIO_OUTPUT -m mark --mark 1337 -j RETURN"));
  assert.ok(!nat.some((rule) => rule.startsWith("-A ISTIO_INBOUND")));
});

test("ranges go to the rules of their own address family", () => {
  const settings = { ...redirectEverything, includeOutboundRanges: ["10.0.0.0/8", "fd00::/8"] };
  const ipv4 = buildRules(settings, "ipv4").nat;
  const ipv6 = buildRules(settings, "ipv6").nat;
  assert.ok(ipv4.includes("-A ISTIO_OUTPUT -d 10.0.0.0/8 -j ISTIO_REDIRECT"));
  assert.ok(ipv6.includes("-A ISTIO_OUTPUT -d fd00::/8 -j ISTIO_REDIRECT"));
  for (const rules of [ipv4, ipv6]) {
    assert.equal(rules.filter((rule) => rule.endsWith("-j ISTIO_REDIRECT")).length, 1);
  }
});

test("removal takes away what is ours and nothing else", () => {
  const saved = [
    ...["*nat", ":PREROUTING ACCEPT [0:0]", ":OUTPUT ACCEPT [0:0]", ":ISTIO_OUTPUT - [0:0]", ":MINE - [0:0]"],
    ...["-A OUTPUT -p tcp -j MINE", "-A OUTPUT -p tcp -j ISTIO_OUTPUT", "-A ISTIO_OUTPUT -o lo -j RETURN", "COMMIT"],
    ...["*mangle", ":OUTPUT ACCEPT [0:0]", ":MINE - [0:0]", "-A OUTPUT -p tcp -j MINE", "COMMIT"],
  ].join("\n");
  const nat = ["-D OUTPUT -p tcp -j ISTIO_OUTPUT", "-F ISTIO_OUTPUT", "-X ISTIO_OUTPUT"];
  assert.deepEqual(buildRemoval(saved), { raw: [], mangle: [], nat });
  assert.deepEqual(buildRemoval("*nat\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"), { raw: [], mangle: [], nat: [] });
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
    const source = family === "ipv4" ? "127.0.0.6" : "::6";
    assert.equal(await ask(pod, here, 8080, { uid: 1337, source }), "pod 8080", "what Envoy hands to the app");
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
  for (const rule of buildRules(redirectEverything, "ipv4").nat) assert.ok(printed.includes(`\n${rule}\n`), rule);
  assert.doesNotMatch(await pod.run("iptables-save", ["-t", "nat"]), /ISTIO/);
  await pod.run("iptables-restore", ["--test"], { input: printed.slice(0, printed.indexOf("# ipv6")) });
});

test("without the capability, or the tool, one line says what to do", { skip }, async (t) => {
  const { pod } = await createTestNetwork(t);
  const denied = init(t, pod, interceptEverything, ["--clean"], { uid: 1000 });
  await assert.rejects(
    denied,
    /iptables-nft-save failed: .*; it needs root with the capabilities NET_ADMIN and NET_RAW/,
  );
  const missing = init(t, pod, interceptEverything, ["--clean"], { path: "/nowhere" });
  await assert.rejects(missing, /iptables-save was not found; the init image must have the package iptables/);
});

/** `trysail init` as the init container runs it, for both address families. */
function init(
  t: TestContext,
  host: TestHost,
  settings: InterceptionSettings,
  mode: readonly ("--clean" | "--dry-run")[] = [],
  options: InitOptions = {},
): Promise<string> {
  return runInit(t, host, [...interceptionFlags(settings), ...mode], options);
}
