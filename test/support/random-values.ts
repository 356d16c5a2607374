import fc from "fast-check";

/** What objects of random meshes are made of. */

export const pick = <T>(...values: readonly T[]) => fc.constantFrom(...values);
export const some = <T>(arbitrary: fc.Arbitrary<T>, maxLength = 3) => fc.array(arbitrary, { maxLength });
export const record = <T extends object>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record(fields, { requiredKeys: [] });

export const namespace = pick("shop", "shop", "shop", "edge", "trysail-system");
export const name = pick("a", "b", "c");
export const host = pick("a", "B", "a.edge", "c.shop.svc.cluster.local", "x.example.com", "X.example.com");
export const hostOrWildcard = fc.oneof(host, pick("*.shop.svc.cluster.local", "*.example.com", "*.com"));
export const labels = record({
  app: name,
  version: pick("v1", "v2"),
  "security.istio.io/tlsMode": pick("istio", "off"),
});
export const exportTo = some(pick(".", "*", "shop", "edge", "~"), 2);
export const portNumber = pick(80, 81, 8080, 15001, 15006);
export const ip = pick("10.1.0.1", "10.1.0.2", "10.1.0.3", "fd00::1", "no-ip");

export const metadata = (extra: object = {}) =>
  fc
    .record({ name, namespace, creationTimestamp: pick("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"), labels })
    .map((meta) => ({ ...meta, ...extra }));

export const text = pick("", "a", "/", "/a", "/a/.*", "[a-z]+", "jo", "(");
export const something = pick("a", "/", "/a", "jo", "é");
export const duration = pick("0s", "1ns", "1.5s", "250ms", "1h", "2000000h");
export const span = pick("1ns", "1.5s", "250ms", "1h", "2000000h");

export const istio = (group: string, kind: string, spec: fc.Arbitrary<object>) =>
  fc.record({
    apiVersion: fc.constant(`${group}.istio.io/v1`),
    kind: fc.constant(kind),
    metadata: metadata(),
    spec,
  });
