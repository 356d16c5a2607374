import type { JsonObject } from "@bufbuild/protobuf";
import type { KnownObject } from "../../src/mesh/kinds.ts";
import type { ObjectSet } from "../../src/mesh/object-set.ts";
import { parseObjects } from "../../src/mesh/parse-object.ts";
import { createSnapshotBuilder, type MeshSnapshot } from "../../src/mesh/snapshot.ts";
import { decodeDocument } from "../../src/sources/decode-document.ts";
import { defaultFolderLimits } from "../../src/sources/limits.ts";
import { splitDocuments } from "../../src/sources/split-documents.ts";
import { createTranslator, type ProxyDescription } from "../../src/translate/translator.ts";
import type { ProxyResources } from "../../src/xds/resource-set.ts";

/** The objects of a text of YAML documents. Throws where one of them is refused: a test must not lose an object unseen. */
export function objectsOf(yaml: string): KnownObject[] {
  return splitDocuments(yaml).flatMap(({ text }) => {
    const decoded = decodeDocument(text, defaultFolderLimits);
    if (!("value" in decoded)) throw new Error(`${decoded.reason} in\n${text}`);
    const { objects, findings } = parseObjects(decoded.value);
    const refused = findings.filter(({ severity }) => severity === "error");
    if (refused.length > 0) throw new Error(refused.map(({ message }) => message).join("\n"));
    return objects;
  });
}

export function setOf(objects: readonly KnownObject[]): ObjectSet {
  return { objects, findings: [] };
}

/** The mesh that a text of YAML documents describes, of trust domain `cluster.local`. */
export function meshOf(yaml: string): MeshSnapshot {
  return createSnapshotBuilder("cluster.local").build(setOf(objectsOf(yaml)));
}

/** The proxy beside a pod of the mesh, given as `POD.NAMESPACE`. */
export function proxyOf(mesh: MeshSnapshot, proxy: string): ProxyDescription {
  const dot = proxy.lastIndexOf(".");
  const [name, namespace] = [proxy.slice(0, dot), proxy.slice(dot + 1)];
  const pod = mesh.pods.get(`${namespace}/${name}`);
  if (pod === undefined) throw new Error(`the mesh has no pod ${name} in namespace ${namespace}`);
  return { name, namespace, labels: pod.metadata.labels, ipAddress: pod.status?.podIP ?? "0.0.0.0" };
}

/** What the proxy beside a pod would be sent, or the pod itself where that is a gateway (`router`). */
export function resourcesFor(
  mesh: MeshSnapshot,
  proxy: string,
  metadata: JsonObject = {},
  type: ProxyDescription["type"] = "sidecar",
): ProxyResources {
  return createTranslator(mesh).translate({ ...proxyOf(mesh, proxy), metadata, type });
}
