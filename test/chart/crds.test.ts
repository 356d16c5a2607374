import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { parse } from "yaml";

interface Definition {
  readonly spec: {
    readonly group: string;
    readonly names: { readonly kind: string; readonly shortNames?: string[]; readonly categories: string[] };
    readonly versions: readonly {
      readonly name: string;
      readonly additionalPrinterColumns: { name: string }[];
      readonly schema: { readonly openAPIV3Schema: { readonly properties: { readonly spec: Field } } };
    }[];
  };
}

interface Field {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Field>>;
  readonly items?: Field;
}

const folder = new URL("../../charts/trysail/files/crds/", import.meta.url);
const definitions = readdirSync(folder).map((file): Definition => parse(readFileSync(new URL(file, folder), "utf8")));

/** What Istio's own CRDs say of each kind: its short name, and what `kubectl get` shows before what became of it. */
const ISTIO: Readonly<Record<string, readonly [shortName: string | undefined, ...columns: string[]]>> = {
  AuthorizationPolicy: ["ap", "Action"],
  DestinationRule: ["dr", "Host"],
  Gateway: ["gw"],
  PeerAuthentication: ["pa", "Mode"],
  ProxyConfig: [undefined],
  ServiceEntry: ["se", "Hosts", "Location", "Resolution"],
  Sidecar: [undefined],
  VirtualService: ["vs", "Gateways", "Hosts"],
  WorkloadEntry: ["we", "Address"],
  WorkloadGroup: ["wg"],
};

for (const { spec } of definitions) {
  const { kind, shortNames, categories } = spec.names;
  const [shortName, ...columns] = ISTIO[kind] ?? [];

  test(`kubectl lists ${kind} by the names that Istio has for it, and says what became of each`, () => {
    if (spec.group.endsWith(".istio.io")) {
      assert.deepEqual(categories, ["istio-io", spec.group.replaceAll(".", "-")]);
      assert.deepEqual(shortNames, shortName === undefined ? undefined : [shortName]);
    }
    for (const { name, additionalPrinterColumns } of spec.versions) {
      const shown = additionalPrinterColumns.map((column) => column.name);
      assert.deepEqual(
        columns.filter((column) => !shown.includes(column)),
        [],
        name,
      );
      assert.deepEqual(shown.slice(-6), ["Accepted", "Programmed", "Reason", "Proxies", "Message", "Age"], name);
    }
  });
}

const explained: readonly [kind: string, ...fields: string[]][] = [
  ["VirtualService", "http"],
  ["VirtualService", "http", "match"],
  ["VirtualService", "http", "route"],
  ["DestinationRule", "trafficPolicy"],
  ["Gateway", "servers"],
];

for (const { spec } of definitions) {
  test(`kubectl explain says what each field of a ${spec.names.kind}'s spec is, and those below that are used most`, () => {
    const paths = [[], ...explained.flatMap(([kind, ...fields]) => (kind === spec.names.kind ? [fields] : []))];
    for (const { name, schema } of spec.versions) {
      for (const path of paths) {
        const fields = path.reduce(
          below,
          below({ properties: { spec: schema.openAPIV3Schema.properties.spec } }, "spec"),
        );
        const silent = Object.entries(fields.properties ?? {}).filter(([, field]) => field.description === undefined);
        assert.deepEqual(
          silent.map(([field]) => field),
          [],
          `${name} ${path.join(".")}`,
        );
      }
    }
  });
}

function below({ properties }: Field, name: string): Field {
  const field = properties?.[name];
  return field?.items ?? field ?? {};
}

test("every kind of Istio's that is read has a definition", () => {
  const kinds = definitions.filter(({ spec }) => spec.group.endsWith(".istio.io")).map(({ spec }) => spec.names.kind);
  assert.deepEqual(new Set(kinds), new Set(Object.keys(ISTIO)));
});
