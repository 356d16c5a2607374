import assert from "node:assert/strict";
import { test } from "node:test";
import { document, istio, service } from "../../test/support/manifests.ts";
import { objectsOf } from "../../test/support/mesh.ts";
import { analyzeReferences } from "./analyze.ts";

const secret = (name: string, namespace = "shop") =>
  document({ apiVersion: "v1", kind: "Secret", metadata: { name, namespace }, data: {} });

/** Where a rule of this spec names Secrets that are missing beside these objects. */
function missing(spec: object, ...others: string[]): string[] {
  const rule = istio("DestinationRule", "web", {
    host: "web",
    workloadSelector: { matchLabels: { app: "web" } },
    ...spec,
  });
  const objects = objectsOf([service({ name: "web", ports: { http: 80 } }), rule, ...others].join(""));
  return analyzeReferences(objects).flatMap(({ field, message }) =>
    message.includes("which the mesh does not have") ? [field ?? ""] : [],
  );
}

const tls = (mode: string) => ({ tls: { mode, credentialName: "bank" } });
const own = "spec.trafficPolicy.tls.credentialName";

const cases: [what: string, spec: object, others: string[], fields: string[]][] = [
  ["a Secret that is nowhere", { trafficPolicy: tls("MUTUAL") }, [], [own]],
  ["one of another namespace", { trafficPolicy: tls("MUTUAL") }, [secret("bank", "data")], [own]],
  ["one that is there", { trafficPolicy: tls("MUTUAL") }, [secret("bank")], []],
  ["whom to trust, without a certificate of one's own", { trafficPolicy: tls("SIMPLE") }, [secret("bank-cacert")], []],
  ["the same, where one is shown", { trafficPolicy: tls("MUTUAL") }, [secret("bank-cacert")], [own]],
  ["a mode that shows none", { trafficPolicy: tls("DISABLE") }, [], []],
  [
    "those of subsets and ports",
    {
      subsets: [
        {
          name: "v1",
          trafficPolicy: { ...tls("SIMPLE"), portLevelSettings: [{ port: { number: 80 }, ...tls("MUTUAL") }] },
        },
      ],
    },
    [],
    [
      "spec.subsets[0].trafficPolicy.tls.credentialName",
      "spec.subsets[0].trafficPolicy.portLevelSettings[0].tls.credentialName",
    ],
  ],
];

for (const [what, spec, others, fields] of cases) {
  test(`${fields.length === 0 ? "says nothing about" : "warns of"} a credentialName: ${what}`, () => {
    assert.deepEqual(missing(spec, ...others), fields);
  });
}
