import assert from "node:assert/strict";
import { test } from "node:test";
import type { Service } from "../mesh/kubernetes/core.ts";
import { annotatedExposures, HOST_PORT_ANNOTATION, parseExposure } from "./exposures.ts";

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
    const metadata = {
      name: "page",
      namespace: "shop",
      labels: {},
      annotations: { [HOST_PORT_ANNOTATION]: annotation },
    };
    const service: Service = {
      apiVersion: "v1",
      kind: "Service",
      metadata,
      spec: { ports: [{ port: 80 }, { port: 443 }] },
    };
    assert.deepEqual(
      annotatedExposures(service).map(({ port, hostPort }) => [port, hostPort]),
      ports,
    );
  });
}
