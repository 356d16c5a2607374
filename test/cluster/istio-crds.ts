import { groupOf, kindSchemas } from "../../src/mesh/schemas.ts";
import { until } from "../support/until.ts";
import { create } from "./create.ts";
import type { KubernetesClient } from "./kubernetes-client.ts";

const CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/** Installs kinds of Istio's without any validation, so that also what an older version let in can be stored. */
export async function installIstioKinds(client: KubernetesClient, kinds: readonly string[]): Promise<void> {
  for (const kind of kinds) await create(client, CRDS, definition(kind));
  for (const kind of kinds) {
    const { name } = definition(kind).metadata;
    await until(`${name} to be served`, async () => {
      const { body } = await client.call("GET", `${CRDS}/${name}`);
      return body.status?.conditions?.some(
        ({ type, status }: { type: string; status: string }) => type === "Established" && status === "True",
      );
    });
  }
}

export async function uninstallIstioKind(client: KubernetesClient, kind: string): Promise<void> {
  await client.call("DELETE", `${CRDS}/${definition(kind).metadata.name}`);
}

export const everyIstioKind = kindSchemas.filter(({ istio }) => istio).map(({ kind }) => kind);

function definition(kind: string) {
  const entry = kindSchemas.find((known) => known.kind === kind);
  if (entry === undefined) throw new Error(`no kind ${kind}`);
  const singular = kind.toLowerCase();
  const plural = /[^aeiou]y$/.test(singular) ? `${singular.slice(0, -1)}ies` : `${singular}s`;
  const group = groupOf(entry.apiVersions[0]);
  const schema = { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } };
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: "Namespaced",
      names: { kind, plural, singular, listKind: `${kind}List` },
      versions: entry.apiVersions.map((apiVersion, index) => ({
        name: apiVersion.slice(group.length + 1),
        served: true,
        storage: index === 0,
        subresources: { status: {} },
        schema,
      })),
    },
  };
}
