import { test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import fc from "fast-check";
import { createSnapshotBuilder } from "../../src/mesh/snapshot.ts";
import { createTranslator } from "../../src/translate/translator.ts";
import { assertEnvoyAccepts, configWith } from "../support/accepted.ts";
import { envoyMissing } from "../support/envoy.ts";
import { setOf } from "../support/mesh.ts";
import { meshObjects, proxies } from "../support/random-mesh.ts";

test("Envoy takes what is made of any mesh", { skip: envoyMissing() }, async () => {
  const meshes = fc.array(meshObjects, { minLength: 10, maxLength: 10 });
  await fc.assert(
    fc.asyncProperty(meshes, async (meshes) => {
      const configs = new Map<string, JsonObject>();
      for (const [index, objects] of meshes.entries()) {
        const translator = createTranslator(createSnapshotBuilder("cluster.local").build(setOf(objects)));
        for (const proxy of proxies) {
          const pod = `${proxy.name}.${proxy.namespace}`;
          configs.set(`${pod} of mesh ${index}`, configWith(translator.translate(proxy), pod));
        }
      }
      await assertEnvoyAccepts(configs);
    }),
    // Shrinking would take many an Envoy, and one mesh of ten is small already.
    { numRuns: 2, endOnFailure: true },
  );
});
