import assert from "node:assert/strict";
import { test } from "node:test";
import { withinCpuMs } from "../../test/support/cpu-time.ts";
import { meshOf } from "../../test/support/mesh.ts";
import { parseObject } from "./parse-object.ts";
import { buildServiceEntryService } from "./service-entry-services.ts";

/** What is refused in the kinds that say what services there are and who sees them: every one of these is one error. */

const port = { number: 80, name: "http", protocol: "HTTP" };
const entry = (spec: object) => ({ hosts: ["a.example.com"], ports: [port], resolution: "DNS", ...spec });
const fixed = (spec: object) => entry({ resolution: "STATIC", ...spec });
const at = (address: string, more: object = {}) => fixed({ endpoints: [{ address, ...more }] });

const many = <T>(count: number, make: (at: number) => T) => Array.from({ length: count }, (_, at) => make(at));
const host = (index: number) => `h${index}.test`;
const portOf = (index: number) => ({ number: index + 1, name: `http-${index}`, protocol: "HTTP" });
const ip = (index: number) => `10.0.${index >> 8}.${index & 255}`;

const refused: [kind: string, spec: object, field: string][] = [
  ["ServiceEntry", entry({ hosts: [] }), "spec.hosts"],
  ["ServiceEntry", entry({ hosts: [""] }), "spec.hosts[0]"],
  ["ServiceEntry", entry({ hosts: ["*"] }), "spec.hosts[0]"],
  ["ServiceEntry", entry({ hosts: ["a.example.com:80"] }), "spec.hosts[0]"],
  ["ServiceEntry", entry({ hosts: ["a.*.com"] }), "spec.hosts[0]"],
  ["ServiceEntry", entry({ hosts: many(101, host), ports: many(100, portOf) }), "spec.hosts"],
  ["ServiceEntry", entry({ hosts: many(10, host), ports: many(10, portOf), addresses: many(101, ip) }), "spec.hosts"],
  [
    "ServiceEntry",
    fixed({ ports: many(100, portOf), endpoints: many(1001, (at) => ({ address: ip(at) })) }),
    "spec.hosts",
  ],
  ["ServiceEntry", entry({ hosts: ["*.example.com"] }), "spec.hosts[0]"],
  ["ServiceEntry", entry({ hosts: ["*.example.com"], resolution: "DNS_ROUND_ROBIN" }), "spec.hosts[0]"],
  ["ServiceEntry", entry({ resolution: "DYNAMIC_DNS" }), "spec.hosts[0]"],
  [
    "ServiceEntry",
    entry({ hosts: ["*.a.com"], resolution: "DYNAMIC_DNS", location: "MESH_INTERNAL" }),
    "spec.location",
  ],
  [
    "ServiceEntry",
    entry({ hosts: ["*.a.com"], resolution: "DYNAMIC_DNS", ports: [{ ...port, protocol: "TCP" }] }),
    "spec.ports[0].protocol",
  ],
  ["ServiceEntry", entry({ resolution: "SOMEHOW" }), "spec.resolution"],
  ["ServiceEntry", entry({ location: "NEARBY" }), "spec.location"],
  ["ServiceEntry", entry({ addresses: ["10.0.0.0/33"] }), "spec.addresses[0]"],
  ["ServiceEntry", entry({ addresses: ["nowhere"] }), "spec.addresses[0]"],
  ["ServiceEntry", entry({ addresses: ["10.0.0.0/8"] }), "spec.addresses[0]"],
  ["ServiceEntry", entry({ ports: [{ ...port, number: 0 }] }), "spec.ports[0].number"],
  ["ServiceEntry", entry({ ports: [{ ...port, number: 65536 }] }), "spec.ports[0].number"],
  ["ServiceEntry", entry({ ports: [{ ...port, targetPort: -1 }] }), "spec.ports[0].targetPort"],
  ["ServiceEntry", entry({ ports: [{ ...port, protocol: "SMTP" }] }), "spec.ports[0].protocol"],
  ["ServiceEntry", entry({ ports: [{ ...port, name: "a b" }] }), "spec.ports[0].name"],
  ["ServiceEntry", entry({ ports: [{ ...port, name: "" }] }), "spec.ports[0].name"],
  ["ServiceEntry", entry({ exportTo: ["*", "a"] }), "spec.exportTo[0]"],
  ["ServiceEntry", entry({ endpoints: [{ address: "unix:///run/a" }] }), "spec.endpoints[0].address"],
  ["ServiceEntry", entry({ ports: [port, { ...port, number: 81 }] }), "spec.ports[1].name"],
  ["ServiceEntry", entry({ ports: [port, { ...port, name: "b" }] }), "spec.ports[1].number"],
  ["ServiceEntry", entry({ resolution: "NONE", endpoints: [{ address: "1.2.3.4" }] }), "spec.endpoints"],
  [
    "ServiceEntry",
    entry({ resolution: "DNS_ROUND_ROBIN", endpoints: [{ address: "a" }, { address: "b" }] }),
    "spec.endpoints",
  ],
  ["ServiceEntry", at("a.example.com"), "spec.endpoints[0].address"],
  ["ServiceEntry", at("un ix"), "spec.endpoints[0].address"],
  ["ServiceEntry", fixed({ endpoints: [{}] }), "spec.endpoints[0].address"],
  ["ServiceEntry", at("unix://relative"), "spec.endpoints[0].address"],
  ["ServiceEntry", at("unix:///run/a", { ports: { http: 1 } }), "spec.endpoints[0].ports"],
  ["ServiceEntry", at("1.2.3.4", { ports: { other: 1 } }), "spec.endpoints[0].ports"],
  ["ServiceEntry", at("1.2.3.4", { ports: { http: 0 } }), "spec.endpoints[0].ports.http"],
  ["ServiceEntry", at("1.2.3.4", { weight: -1 }), "spec.endpoints[0].weight"],
  [
    "ServiceEntry",
    fixed({ endpoints: [{ address: "1.2.3.4" }], workloadSelector: { labels: { a: "b" } } }),
    "spec.workloadSelector",
  ],
  ["ServiceEntry", fixed({ workloadSelector: {} }), "spec.workloadSelector.labels"],
  ["ServiceEntry", entry({ subjectAltNames: [""] }), "spec.subjectAltNames[0]"],
  ["WorkloadEntry", {}, "spec.address"],
  ["WorkloadEntry", { address: "a b" }, "spec.address"],
  ["WorkloadEntry", { address: "1.2.3.4", weight: "much" }, "spec.weight"],
  ["WorkloadGroup", {}, "spec.template"],
  ["WorkloadEntry", { address: "1.2.3.4", ports: { "a b": 1 } }, 'spec.ports["a b"]'],
  ["WorkloadGroup", { template: {}, probe: { httpGet: {} } }, "spec.probe.httpGet.port"],
  ["WorkloadGroup", { template: {}, probe: { httpGet: { port: 0 } } }, "spec.probe.httpGet.port"],
  ["WorkloadGroup", { template: {}, probe: { httpGet: { port: 1, scheme: "ftp" } } }, "spec.probe.httpGet.scheme"],
  ["WorkloadGroup", { template: {}, probe: { periodSeconds: 5 } }, "spec.probe"],
  ["WorkloadGroup", { template: {}, probe: { tcpSocket: { port: 1 }, grpc: { port: 1 } } }, "spec.probe"],
  ["WorkloadGroup", { template: {}, probe: { exec: {} } }, "spec.probe.exec.command"],
  ["WorkloadGroup", { template: { address: "a b" } }, "spec.template.address"],
  [
    "WorkloadGroup",
    { template: {}, probe: { httpGet: { port: 1, httpHeaders: [{ name: "x" }, { name: "*" }] } } },
    "spec.probe.httpGet.httpHeaders[1].name",
  ],
  ["Sidecar", {}, "spec"],
  ["Sidecar", { workloadSelector: { labels: { app: "a" } }, egress: [] }, "spec"],
  ["Sidecar", { egress: [{ hosts: [] }] }, "spec.egress[0].hosts"],
  ["Sidecar", { egress: [{ hosts: many(2001, (at) => `*/${host(at)}`) }] }, "spec.egress"],
  ["Sidecar", { egress: many(257, (at) => ({ port: portOf(at), hosts: ["*/*"] })) }, "spec.egress"],
  ["Sidecar", { ingress: many(257, (at) => ({ port: portOf(at), defaultEndpoint: "127.0.0.1:80" })) }, "spec.ingress"],
  ["Sidecar", { egress: [{ hosts: ["a.example.com"] }] }, "spec.egress[0].hosts[0]"],
  ["Sidecar", { egress: [{ hosts: ["A/b"] }] }, "spec.egress[0].hosts[0]"],
  ["Sidecar", { egress: [{ hosts: ["./*"], bind: "1.2.3.4" }] }, "spec.egress[0].bind"],
  ["Sidecar", { egress: [{ hosts: ["./*"], bind: "here", port: { number: 1 } }] }, "spec.egress[0].bind"],
  ["Sidecar", { egress: [{ hosts: ["./*"], captureMode: "NONE" }] }, "spec.egress[0].captureMode"],
  ["Sidecar", { egress: [{ hosts: ["./*"] }, { hosts: ["./*"], port: { number: 1 } }] }, "spec.egress[0]"],
  ["Sidecar", { egress: [{ hosts: ["./*"], port: { number: 1, protocol: "SMTP" } }] }, "spec.egress[0].port.protocol"],
  ["Sidecar", { egress: [1, 1].map((number) => ({ hosts: ["./*"], port: { number } })) }, "spec.egress[1].port.number"],
  ["Sidecar", { ingress: [{ port: { number: 1 }, defaultEndpoint: "10.0.0.1:1" }] }, "spec.ingress[0].defaultEndpoint"],
  [
    "Sidecar",
    { ingress: [{ port: { number: 1 }, defaultEndpoint: "127.0.0.1:0" }] },
    "spec.ingress[0].defaultEndpoint",
  ],
  ["Sidecar", { ingress: [{ port: { number: 1 }, bind: "here" }] }, "spec.ingress[0].bind"],
  ["Sidecar", { ingress: [1, 1].map((number) => ({ port: { number } })) }, "spec.ingress[1].port.number"],
  ["Sidecar", { ingress: [{ port: { number: 1 }, tls: { mode: "SIMPLE" } }] }, "spec.ingress[0].tls"],
  [
    "Sidecar",
    { outboundTrafficPolicy: { mode: "ALLOW_ANY", egressProxy: { host: "a" } } },
    "spec.outboundTrafficPolicy.egressProxy.port",
  ],
  [
    "Sidecar",
    { outboundTrafficPolicy: { mode: "REGISTRY_ONLY", egressProxy: { host: "a", port: { number: 1 } } } },
    "spec.outboundTrafficPolicy.egressProxy",
  ],
];

const parse = (kind: string, spec: object) =>
  parseObject({ apiVersion: "networking.istio.io/v1", kind, metadata: { name: "a" }, spec });

for (const [kind, spec, field] of refused) {
  test(`refused: ${kind} ${JSON.stringify(spec)}`, () => {
    const { object, findings } = parse(kind, spec);
    assert.equal(object, undefined);
    const errors = findings.filter(({ severity }) => severity === "error");
    assert.deepEqual(
      errors.map((finding) => finding.field),
      [field],
    );
  });
}

const taken: [kind: string, spec: object][] = [
  ["ServiceEntry", entry({})],
  ["ServiceEntry", entry({ hosts: ["*.example.com"], resolution: "NONE" })],
  ["ServiceEntry", entry({ hosts: ["*.example.com"], endpoints: [{ address: "www.example.com" }] })],
  ["ServiceEntry", entry({ hosts: ["*.example.com"], resolution: "DYNAMIC_DNS" })],
  ["ServiceEntry", entry({ hosts: ["*.example.com", "a.example.com"], resolution: "NONE" })],
  ["ServiceEntry", entry({ addresses: ["10.0.0.0/8"], resolution: "NONE" })],
  ["ServiceEntry", at("unix:///run/app.sock")],
  ["ServiceEntry", fixed({ workloadSelector: { labels: { app: "vm" } } })],
  ["WorkloadEntry", { network: "far" }],
  ["WorkloadGroup", { template: { serviceAccount: "vm" }, probe: { tcpSocket: { port: 1 } } }],
  ["Sidecar", { outboundTrafficPolicy: {} }],
  [
    "Sidecar",
    {
      egress: [{ port: { number: 1, protocol: "HTTP" }, bind: "unix:///run/out", hosts: ["~/*"] }, { hosts: ["*/*"] }],
    },
  ],
  ["Sidecar", { ingress: [{ port: { number: 1 }, defaultEndpoint: "unix:///run/in" }] }],
];

for (const [kind, spec] of taken) {
  test(`taken: ${kind} ${JSON.stringify(spec)}`, () => assert.deepEqual(parse(kind, spec).findings, []));
}

test("a host of a ServiceEntry that is there again, in whatever case, is warned of and one service", () => {
  const { object, findings } = parse("ServiceEntry", entry({ hosts: ["a.example.com", "A.example.com"] }));
  assert.deepEqual(
    findings.map(({ severity, field }) => `${severity} ${field}`),
    ["warning spec.hosts[1]"],
  );
  assert.ok(object !== undefined);
  assert.deepEqual(
    meshOf(JSON.stringify(object)).services.map(({ hostname }) => hostname),
    ["a.example.com"],
  );
});

test("a ServiceEntry of fixed endpoints without any is taken, and told", () => {
  const { object, findings } = parse("ServiceEntry", fixed({}));
  assert.equal(object?.kind, "ServiceEntry");
  assert.deepEqual(
    findings.map(({ severity, field }) => `${severity} ${field}`),
    ["warning spec.endpoints"],
  );
});

test("a port of UDP is known, has no effect, and is told", () => {
  const { object, findings } = parse(
    "ServiceEntry",
    entry({ ports: [port, { number: 53, name: "dns", protocol: "UDP" }] }),
  );
  assert.equal(object?.kind, "ServiceEntry");
  assert.deepEqual(
    findings.map(({ severity, field }) => `${severity} ${field}`),
    ["warning spec.ports[1].protocol"],
  );
  assert.ok(object.kind === "ServiceEntry");
  assert.deepEqual(
    buildServiceEntryService(object, "a.example.com", "").ports.map(({ name }) => name),
    ["http"],
  );
});

test("as many ports and endpoints as there may be are compared in no more than a moment", () => {
  const ports = Array.from({ length: 256 }, (_, index) => ({ number: index + 1, name: `p${index}` }));
  const targets = Object.fromEntries(ports.map(({ name }) => [name, 80]));
  const endpoints = Array.from({ length: 390 }, () => ({ address: "10.0.0.1", ports: targets }));
  const { findings } = withinCpuMs(5000, () => parse("ServiceEntry", fixed({ ports, endpoints })));
  assert.deepEqual(findings, []);
});
