import assert from "node:assert/strict";
import { test } from "node:test";
import { NO_NETWORKS, networkByRange, parseMeshNetworks } from "./mesh-networks.ts";

function parse(text: string, last = NO_NETWORKS) {
  const told: string[] = [];
  const networks = parseMeshNetworks(text, last, (severity, code, message, field) => {
    assert.ok(message.startsWith(field), message);
    told.push(`${severity} ${code} ${field}`);
  });
  return { networks, told };
}

const TWO = `networks:
  one:
    endpoints: [{ fromRegistry: east }, { fromCidr: 10.1.0.0/16 }]
    gateways: [{ address: 192.0.2.1, port: 15443 }]
  two:
    endpoints: [{ fromRegistry: west }, { fromRegistry: east }, { fromCidr: "2001:db8::/32" }, { fromCidr: 10.0.0.0/8 }]
    gateways: [{ registryServiceName: gate.edge.svc.cluster.local, port: 443 }]
`;

test("a network has the pods of clusters, ranges of addresses, and gateways", () => {
  const { networks, told } = parse(TWO);
  assert.deepEqual(told, []);
  assert.deepEqual(
    [...networks.byCluster],
    [
      ["east", "one"],
      ["west", "two"],
    ],
  );
  assert.deepEqual(networks.gateways, [
    { network: "one", port: 15443, at: { address: "192.0.2.1" } },
    { network: "two", port: 443, at: { host: "gate.edge.svc.cluster.local" } },
  ]);
});

test("an address is in the first range that fits", () => {
  const { ranges } = parse(TWO).networks;
  const cases: [address: string, network: string | undefined][] = [
    ["10.1.2.3", "one"],
    ["10.2.2.3", "two"],
    ["2001:db8::7", "two"],
    ["2001:db9::7", undefined],
    ["192.0.2.9", undefined],
    ["db.example.com", undefined],
    ["", undefined],
  ];
  for (const [address, network] of cases) assert.equal(networkByRange(address, ranges), network, address);
});

test("the same text, written anew, is the same networks", () => {
  const { networks } = parse(TWO);
  assert.equal(parse(`# a comment\n${TWO}`, networks).networks, networks);
});

test("what cannot be read leaves all as it was, and a part that means nothing is left out", () => {
  const { networks } = parse(TWO);
  const cases: [text: string, told: string[], stays: boolean][] = [
    ["networks: [", ["error document-malformed data.meshNetworks"], true],
    [
      "networks: {one: {gateways: [{address: 192.0.2.1}]}}",
      ["error schema-invalid data.meshNetworks.networks.one.gateways[0].port"],
      true,
    ],
    [
      "networks: {one: {gateways: [{address: 192.0.2.1, port: 70000}]}}",
      ["error schema-invalid data.meshNetworks.networks.one.gateways[0].port"],
      true,
    ],
    [
      "networks: {one: {endpoints: [{fromCidr: 10.0.0.0}]}}",
      ["error value-invalid data.meshNetworks.networks.one.endpoints[0].fromCidr"],
      false,
    ],
    [
      "networks: {one: {gateways: [{address: gate.example.com, port: 443}]}}",
      ["error value-invalid data.meshNetworks.networks.one.gateways[0]"],
      false,
    ],
    [
      "networks: {one: {gateways: [{address: 192.0.2.1, port: 443, locality: a/b}]}}",
      ["warning field-unsupported data.meshNetworks.networks.one.gateways[0].locality"],
      false,
    ],
  ];
  for (const [text, expected, stays] of cases) {
    const found = parse(text, networks);
    assert.deepEqual(found.told, expected, text);
    assert.equal(found.networks === networks, stays, text);
  }
});
