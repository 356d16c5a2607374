import { create, type JsonObject } from "@bufbuild/protobuf";
import { type Metadata, MetadataSchema } from "../gen/envoy/config/core/v3/base_pb.ts";
import type { MeshObject } from "../mesh/object.ts";

/**
 * Says in an Envoy resource which object made it: `filter_metadata.istio.config`, a path as Istio writes it
 * (`/apis/networking.istio.io/v1/namespaces/bookstore/virtual-service/reviews`), plus what else is worth telling.
 */
export function provenance(object: MeshObject | null, facts: JsonObject = {}): Metadata {
  const istio: JsonObject = { ...facts };
  if (object !== null) {
    istio.config = configPath(object);
  }
  return create(MetadataSchema, { filterMetadata: { istio } });
}

/**
 * The paths of objects by which something looks as it does that would be there without them as well; nothing where there
 * are none. A path that is given twice is told once.
 */
export function shapedBy(paths: readonly (string | null)[]): { metadata?: Metadata } {
  const known = [...new Set(paths.filter((path) => path !== null))];
  return known.length === 0 ? {} : { metadata: provenance(null, { shapedBy: known }) };
}

/** `/apis/networking.istio.io/v1/namespaces/bookstore/virtual-service/reviews`. */
export function configPath({ apiVersion, kind, metadata }: MeshObject): string {
  const kebab = kind.replace(/(?<=[a-z])(?=[A-Z])/g, "-").toLowerCase();
  return `/apis/${apiVersion}/namespaces/${metadata.namespace}/${kebab}/${metadata.name}`;
}
