import assert from "node:assert/strict";
import { test } from "node:test";
import { withinCpuMs } from "../../test/support/cpu-time.ts";
import { MOST_NAMES, MOST_VALUES } from "./find-excess.ts";
import { readObject } from "./parse-object.ts";

/** Objects of as much as an API server takes, each odd in another way: nobody else is served while one is looked at. */

const times = <T>(count: number, make: (at: number) => T) => Array.from({ length: count }, (_, at) => make(at));
const fields = (count: number, value: unknown) => Object.fromEntries(times(count, (at) => [`f${at}`, value]));
const object = (kind: string, spec: object, group = "networking") => ({
  apiVersion: `${group}.istio.io/v1`,
  kind,
  metadata: { name: "a", namespace: "shop" },
  spec,
});
const to = [{ destination: { host: "cart" } }];
const routes = (spec: object) => object("VirtualService", { hosts: ["a.test"], http: [{ route: to }], ...spec });
const TOO_MANY = `has more than ${MOST_VALUES} fields and items of lists`;
const TOO_MANY_NAMES = `has fields of more than ${MOST_NAMES} different names`;

const cases: Readonly<
  Record<string, readonly [make: () => unknown, told: string, findings: number, limitMs?: number]>
> = {
  "fields that nobody knows": [() => routes(fields(130_000, 1)), TOO_MANY_NAMES, 1],
  "fields that nobody knows, in each of several routes": [
    () => routes({ http: times(15, () => ({ route: to, ...fields(9000, 1) })) }),
    "spec.http[0].f0 is not a field",
    11,
  ],
  "the same in what may be one thing or another": [
    () => routes({ http: times(15, () => ({ route: to, match: [{ uri: fields(9000, 1) }] })) }),
    "spec.http[0].match[0].uri must be a mapping with exactly one of exact, prefix, regex",
    11,
  ],
  "labels that are none": [
    () => object("PeerAuthentication", { selector: { matchLabels: fields(9000, []) } }, "security"),
    "spec.selector.matchLabels.f0 must be text",
    11,
  ],
  "items of the wrong type": [() => routes({ gateways: times(190_000, () => 1) }), "spec.gateways[0] must be text", 11],
  "items that each are a mistake": [
    () => routes({ gateways: times(190_000, () => "") }),
    "spec.gateways[0] must be mesh, NAME or NAMESPACE/NAME",
    11,
  ],
  "items of nothing": [() => routes({ gateways: times(500_000, () => "") }), TOO_MANY, 1],
  "more hosts than there may be": [
    () => object("ServiceEntry", { hosts: times(190_000, () => "a.b"), resolution: "DNS" }),
    "spec.hosts must not have more than 256 items",
    1,
    250,
  ],
  "conditions of nothing": [
    () => routes({ http: [{ route: to, match: times(190_000, () => ({})) }] }),
    "spec.hosts are 1, and have 190000 routes each",
    1,
    250,
  ],
};

for (const [what, [make, told, findings, limitMs = 1000]] of Object.entries(cases)) {
  test(`an object of ${what} is told so in no more than a moment`, () => {
    const value = make();
    const parsed = withinCpuMs(limitMs, () => readObject(value));
    assert.equal(parsed.findings.length, findings);
    assert.equal(parsed.findings[0]?.message.includes(told), true, parsed.findings[0]?.message);
  });
}

test("an object of thousands of routes as people write them is used, after no more than a moment", () => {
  const route = (at: number) => ({ match: [{ uri: { prefix: `/a${at}/` } }], route: to, timeout: "5s" });
  const value = routes({ http: times(14_000, route) });
  assert.deepEqual(
    withinCpuMs(1000, () => readObject(value).findings),
    [],
  );
});

test("of many mistakes the first are told, and that there are more", () => {
  const { findings } = readObject(routes({ http: times(12, () => ({ route: to, timeout: "soon" })) }));
  assert.deepEqual(
    findings.map(({ field, message }) => field ?? message),
    [
      ...times(10, (at) => `spec.http[${at}].timeout`),
      "VirtualService shop/a: there is more to tell than these 10: correct them first",
    ],
  );
});
