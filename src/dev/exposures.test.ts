import assert from "node:assert/strict";
import { test } from "node:test";
import type { Service } from "../mesh/kubernetes/core.ts";
import { exposures, HOST_PORT_ANNOTATION, parseExposure } from "./exposures.ts";

test("--expose names service, namespace and both ports", () => {
  assert.deepEqual(parseExposure("page.shop:80=8081"), {
    service: "page",
    namespace: "shop",
    port: 80,
    hostPort: 8081,
  });
  for (const wrong of ["page:80=8081", "page.shop:80", "page.shop:0=1", "page.shop:80=70000", ""]) {
    assert.throws(() => parseExposure(wrong), /must look like/, wrong);
  }
});

const cases: [annotation: string, ports: [number, number][]][] = [
  ["8081", [[80, 8081]]],
  ["443=8443", [[443, 8443]]],
  [
    "80=8081, 443=8443",
    [
      [80, 8081],
      [443, 8443],
    ],
  ],
  ["nonsense", []],
  ["", []],
];
for (const [annotation, ports] of cases) {
  test(`the annotation ${JSON.stringify(annotation)} exposes ${ports.length} ports`, () => {
    assert.deepEqual(
      exposures({ expose: [], hostPorts: true }, [annotated(annotation)]).map(({ port, hostPort }) => [port, hostPort]),
      ports,
    );
  });
}

test("a command line that wants no ports of this machine gets those alone that it names itself", () => {
  const named = { service: "cart", namespace: "shop", port: 80, hostPort: 8082 };
  assert.deepEqual(exposures({ expose: [named], hostPorts: false }, [annotated("8081")]), [named]);
  const annotation = { service: "page", namespace: "shop", port: 80, hostPort: 8081 };
  assert.deepEqual(exposures({ expose: [named], hostPorts: true }, [annotated("8081")]), [named, annotation]);
});

function annotated(annotation: string): { service: Service } {
  const annotations = { [HOST_PORT_ANNOTATION]: annotation };
  const metadata = { name: "page", namespace: "shop", labels: {}, annotations };
  return { service: { apiVersion: "v1", kind: "Service", metadata, spec: { ports: [{ port: 80 }, { port: 443 }] } } };
}
