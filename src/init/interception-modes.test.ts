import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { answerWithName, ask, askUdp, listeningNetwork, runInit } from "../../test/support/intercepted-pod.ts";
import { createTestNetwork, netnsMissing, type TestHost } from "../../test/support/netns.ts";

/** What interception.test.ts does not show: each way in which the rules may be asked for, by real sockets. */

const skip = netnsMissing();

test("from outside a pod the rules are the same, and go again", { skip }, async (t) => {
  const { machine, pod } = await listeningNetwork(t);
  // A node's plug-in knows nothing of the pod but its namespace.
  const outside = ["--node", "--netns", "/run/netns/pod"];
  const env = { INSTANCE_IP: "", INSTANCE_IPS: "", POD_NAME: "" };
  await runInit(t, machine, [...outside, "--exclude-inbound-ports=9090"], { env });
  for (const family of ["ipv4", "ipv6"] as const) {
    assert.equal(await ask(machine, pod[family], 8080), "pod 15006", family);
    assert.equal(await ask(machine, pod[family], 9090), "pod 9090", family);
    assert.equal(await ask(pod, machine[family], 8080, { uid: 1000 }), "pod 15001", family);
  }
  assert.doesNotMatch(await machine.run("iptables-save", []), /ISTIO/, "the node's own rules stay as they are");
  const inside = await rulesOf(pod);
  await runInit(t, pod, ["--exclude-inbound-ports=9090"]);
  assert.equal(await rulesOf(pod), inside, "as the init container would have set them");
  await runInit(t, machine, [...outside, "--clean"], { env });
  assert.equal(await ask(machine, pod.ipv4, 8080), "pod 8080");
  await assert.rejects(runInit(t, machine, ["--node"], { env }), /--node and --netns FILE need each other/);
  await assert.rejects(runInit(t, machine, ["--node", "--netns", "/nowhere"], { env }), /\/nowhere: No such file/);
});

const bothKinds = ["iptables-nft", "iptables-legacy"].every((tool) => spawnSync(tool, ["--version"]).status === 0);

test("where the pod's rules are of the older kind, so are ours", {
  skip: skip || (bothKinds ? false : "needs both kinds of iptables"),
}, async (t) => {
  const { machine, pod } = await listeningNetwork(t);
  await pod.run("iptables-legacy", ["-t", "filter", "-A", "OUTPUT", "-p", "icmp", "-j", "ACCEPT"]);
  await runInit(t, pod, []);
  assert.match(await pod.run("iptables-legacy-save", []), /-j ISTIO_OUTPUT/);
  assert.doesNotMatch(await pod.run("iptables-nft-save", []), /ISTIO/);
  assert.match(await pod.run("ip6tables-nft-save", []), /-j ISTIO_OUTPUT/, "for IPv6, no older rules are there");
  for (const family of ["ipv4", "ipv6"] as const) {
    assert.equal(await ask(machine, pod[family], 8080), "pod 15006", family);
    assert.equal(await ask(pod, machine[family], 8080, { uid: 1000 }), "pod 15001", family);
    assert.equal(await ask(pod, machine[family], 8080, { uid: 1337 }), "machine 8080", family);
  }
  await runInit(t, pod, ["--iptables=nft"]);
  assert.doesNotMatch(await pod.run("iptables-legacy-save", []), /ISTIO/, "never both");
  assert.match(await pod.run("iptables-nft-save", []), /-j ISTIO_OUTPUT/);
  await runInit(t, pod, ["--iptables=legacy"]);
  await runInit(t, pod, ["--clean"]);
  for (const tool of ["iptables-nft-save", "iptables-legacy-save", "ip6tables-nft-save", "ip6tables-legacy-save"]) {
    assert.doesNotMatch(await pod.run(tool, []), /ISTIO/, tool);
  }
});

test("an excluded interface is left alone in both directions", { skip }, async (t) => {
  const { machine, pod } = await listeningNetwork(t);
  await addInterface(machine, pod);
  await runInit(t, pod, ["--exclude-interfaces=net1"]);
  assert.equal(await ask(machine, "10.98.0.2", 8080), "pod 8080");
  assert.equal(await ask(pod, "10.98.0.1", 8080, { uid: 1000 }), "machine 8080");
  assert.equal(await ask(machine, pod.ipv4, 8080), "pod 15006", "the other interface is not");
  assert.equal(await ask(pod, machine.ipv4, 8080, { uid: 1000 }), "pod 15001");
});

test("what comes from a machine inside the pod is outbound", { skip }, async (t) => {
  const { machine, pod } = await listeningNetwork(t);
  await addInterface(machine, pod);
  await machine.run("ip", ["route", "add", "10.97.0.0/16", "via", "10.98.0.2"]);
  await runInit(t, pod, ["--reroute-virtual-interfaces=net1", "--exclude-outbound-ranges=10.98.0.0/16"]);
  assert.equal(await ask(machine, "10.97.0.9", 8080), "pod 15001");
  assert.equal(await ask(machine, "10.98.0.2", 8080), "pod 8080", "an excluded range");
  assert.equal(await ask(machine, pod.ipv4, 8080), "pod 15006", "the other interface is inbound");
});

test("other users than 1337 may be the proxy", { skip }, async (t) => {
  const { machine, pod } = await listeningNetwork(t);
  await runInit(t, pod, ["--proxy-uid=4000,4001", "--proxy-gid=5000"]);
  const from = (uid: number, gid = 100) => ask(pod, machine.ipv4, 8080, { uid, gid });
  assert.equal(await from(4000), "machine 8080");
  assert.equal(await from(4001), "machine 8080");
  assert.equal(await from(1000, 5000), "machine 8080");
  assert.equal(await from(1337, 1337), "pod 15001");
});

test("DNS queries go to Envoy where that is asked for, but for Envoy's own", { skip }, async (t) => {
  const { machine, pod } = await createTestNetwork(t);
  await answerWithName(machine, "machine", [53], [53]);
  await answerWithName(pod, "pod", [53, 15001, 15053], [53, 15053]);
  for (const family of ["ipv4", "ipv6"] as const) {
    assert.equal(await askUdp(pod, machine[family], 53, { uid: 1000 }), "machine 53", `${family} before`);
  }
  await runInit(t, pod, []);
  assert.equal(await askUdp(pod, machine.ipv4, 53, { uid: 1000 }), "machine 53", "UDP is left alone by default");
  assert.equal(await ask(pod, machine.ipv4, 53, { uid: 1000 }), "pod 15001", "and TCP is TCP");

  await runInit(t, pod, ["--redirect-dns"]);
  for (const family of ["ipv4", "ipv6"] as const) {
    const there = machine[family];
    const loopback = family === "ipv4" ? "127.0.0.1" : "::1";
    assert.equal(await askUdp(pod, there, 53, { uid: 1000 }), "pod 15053", `${family}, UDP`);
    assert.equal(await ask(pod, there, 53, { uid: 1000 }), "pod 15053", `${family}, TCP`);
    assert.equal(await askUdp(pod, there, 53, { uid: 1337 }), "machine 53", `${family}, Envoy's own over UDP`);
    assert.equal(await ask(pod, there, 53, { uid: 1337 }), "machine 53", `${family}, Envoy's own over TCP`);
    assert.equal(await askUdp(pod, loopback, 53, { uid: 1000 }), "pod 53", `${family}, a resolver in the pod`);
    // What connection tracking remembers of the app's query must not catch Envoy's from the same port, nor the reverse.
    for (const [port, uid, answer] of [
      [40_053, 1000, "pod 15053"],
      [40_053, 1337, "machine 53"],
      [40_053, 1000, "pod 15053"],
      [40_054, 1337, "machine 53"],
      [40_054, 1000, "pod 15053"],
    ] as const) {
      const got = await askUdp(pod, there, 53, { uid, sourcePort: port });
      assert.equal(got, answer, `${family}, port ${port} of ${uid}`);
    }
    assert.equal(await askUdp(pod, there, 53, { uid: 1000, type: "AAAA" }), "pod 15053", `${family}, for IPv6`);
  }
  const once = await rulesOf(pod);
  await runInit(t, pod, ["--redirect-dns"]);
  assert.equal(await rulesOf(pod), once, "twice is once");

  await runInit(t, pod, ["--redirect-dns", "--exclude-outbound-ranges=10.99.0.0/24"]);
  assert.equal(await askUdp(pod, machine.ipv4, 53, { uid: 1000 }), "machine 53", "an excluded resolver");
  await runInit(t, pod, ["--redirect-dns", "--exclude-outbound-ports=53"]);
  assert.equal(await askUdp(pod, machine.ipv4, 53, { uid: 1000 }), "machine 53", "an excluded port");
  await runInit(t, pod, ["--clean"]);
  assert.doesNotMatch(await rulesOf(pod), /ISTIO|CT/);
});

test("DNS queries that are not for the pod's own kind of addresses go to its resolver, also from a port that asks for both", {
  skip,
}, async (t) => {
  const { machine, pod } = await createTestNetwork(t);
  await answerWithName(machine, "machine", [], [53]);
  await answerWithName(pod, "pod", [], [15053]);
  const asked = async (type: "A" | "AAAA" | "TXT" | "SRV" | "PTR") =>
    (await askUdp(pod, machine.ipv4, 53, { uid: 1000, type, sourcePort: 40_053 })).replace(/ \d+$/, "");
  const types = ["A", "AAAA", "A", "TXT", "SRV", "PTR", "A"] as const;
  await runInit(t, pod, ["--redirect-dns"], { env: { INSTANCE_IPS: pod.ipv4 } });
  const found: string[] = [];
  for (const type of types) found.push(await asked(type));
  assert.deepEqual(found, ["pod", "machine", "pod", "machine", "machine", "machine", "pod"]);
  await runInit(t, pod, ["--redirect-dns"]);
  found.length = 0;
  for (const type of types) found.push(await asked(type));
  assert.deepEqual(found, ["pod", "pod", "pod", "machine", "machine", "machine", "pod"], "with IPv6");
});

test("TPROXY set up twice is set up once, and --clean leaves nothing of it", { skip }, async (t) => {
  const { pod } = await createTestNetwork(t);
  const routing = async () => {
    const commands = ["rule", "-6 rule", "route show table all", "-6 route show table all", "addr show dev lo"];
    const shown = await Promise.all(commands.map((command) => pod.run("ip", command.split(" "))));
    // The other interface is still getting its addresses from the kernel.
    const lines = shown.join("").split("\n");
    return lines.filter((line) => !/ dev eth0 |valid_lft/.test(line)).join("\n");
  };
  const before = [await rulesOf(pod), await routing()];
  await runInit(t, pod, ["--interception-mode=TPROXY"]);
  const once = [await rulesOf(pod), await routing()];
  assert.match(once[0] ?? "", /-j TPROXY --on-port 15006/);
  for (const part of [/fwmark 0x539 lookup 133/, /local default dev lo table 133/, /inet6 ::6\/128/]) {
    assert.match(once[1] ?? "", part);
  }
  await runInit(t, pod, ["--interception-mode=TPROXY"]);
  assert.deepEqual([await rulesOf(pod), await routing()], once);
  const printed = await runInit(t, pod, ["--interception-mode=TPROXY", "--dry-run"]);
  assert.match(printed, /^# ip -4 rule add fwmark 1337 lookup 133$/m);
  await runInit(t, pod, ["--clean"]);
  const after = [await rulesOf(pod), await routing()];
  // Tables that were used once stay, empty.
  assert.doesNotMatch(after[0] ?? "", /^-A/m);
  assert.equal(after[1], before[1]);
});

test("with NONE, or where someone else intercepts, nothing is touched and no right is needed", { skip }, async (t) => {
  const { pod } = await createTestNetwork(t);
  const before = await rulesOf(pod);
  for (const options of [{ flags: ["--interception-mode=NONE"] }, { flags: ["--bootstrap-only"] }]) {
    await runInit(t, pod, options.flags, { path: "/nowhere" });
  }
  await runInit(t, pod, [], { path: "/nowhere", env: { ISTIO_META_INTERCEPTION_MODE: "NONE" } });
  assert.equal(await rulesOf(pod), before);
  await assert.rejects(runInit(t, pod, ["--interception-mode=SOME"]), /Allowed choices are REDIRECT, TPROXY, NONE/);
});

/** All rules of both families and kinds, without their counters. */
async function rulesOf(host: TestHost): Promise<string> {
  const saved = await Promise.all(["iptables-save", "ip6tables-save"].map((tool) => host.run(tool, [])));
  return saved
    .join("")
    .replace(/^#.*\n/gm, "")
    .replace(/\[\d+:\d+\]/g, "");
}

/** A second cable from the machine to the pod. */
async function addInterface(machine: TestHost, pod: TestHost): Promise<void> {
  const ip = (host: TestHost, command: string) => host.run("ip", command.split(" "));
  await ip(machine, "link add cable1 type veth peer name net1 netns pod");
  for (const [host, device, address] of [
    [machine, "cable1", "10.98.0.1"],
    [pod, "net1", "10.98.0.2"],
  ] as const) {
    await ip(host, `addr add ${address}/24 dev ${device}`);
    await ip(host, `link set ${device} up`);
  }
}
