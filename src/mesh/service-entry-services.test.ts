import assert from "node:assert/strict";
import { test } from "node:test";
import type { ServiceEntry } from "./istio/service-entry.ts";
import { takesAutoAddresses } from "./service-entry-services.ts";

const LABEL = "networking.istio.io/enable-autoallocate-ip";

const rows: [
  what: string,
  host: string,
  spec: Omit<ServiceEntry["spec"], "hosts">,
  label: string,
  expected: boolean,
][] = [
  ["one without addresses", "a.example.com", { resolution: "DNS" }, "", true],
  ["one labelled so", "a.example.com", { resolution: "STATIC" }, "true", true],
  ["one labelled otherwise", "a.example.com", { resolution: "DNS" }, "false", false],
  ["one labelled otherwise in capitals", "a.example.com", { resolution: "DNS" }, "False", false],
  ["one with addresses", "a.example.com", { resolution: "DNS", addresses: ["192.0.2.1"] }, "", false],
  ["a wildcard", "*.example.com", { resolution: "STATIC" }, "", false],
  ["one that leads to where it was dialled", "a.example.com", {}, "", false],
  ["one that looks up whatever is asked for", "a.example.com", { resolution: "DYNAMIC_DNS" }, "", false],
];

for (const [what, host, spec, label, expected] of rows) {
  test(`a ServiceEntry's host gets ${expected ? "" : "no "}addresses of its own: ${what}`, () => {
    const labels: Record<string, string> = label === "" ? {} : { [LABEL]: label };
    const metadata = { name: "a", namespace: "shop", labels, annotations: {} };
    assert.equal(takesAutoAddresses({ metadata, spec: { hosts: [host], ...spec } }, host), expected);
  });
}
