import { type TSchema, Type } from "typebox";
import { isRecord } from "../mesh/conform.ts";
import type { KindSchema } from "../mesh/schemas.ts";

/** Text that tools keep for themselves: `kubectl apply` a whole copy of the object, and controllers the time of a change. */
const BOOKKEEPING = [
  "kubectl.kubernetes.io/last-applied-configuration",
  "endpoints.kubernetes.io/last-change-trigger-time",
];

/**
 * A document as the API server sends it, without what the mesh does not read: thousands are held in memory, and one
 * that differs in nothing else must count as unchanged. Of Kubernetes' kinds the fields of the schema stay; Istio's
 * keep all but their status, since fields they should not have are reported. Items of lists of Kubernetes' kinds say no
 * kind, and metadata alone says another one: that of the schema is filled in.
 */
export function trimObject(value: unknown, entry: KindSchema): unknown {
  if (!isRecord(value)) return value;
  const { status, ...unread } = value;
  const metadata = trimMetadata(value.metadata, entry);
  if (entry.istio) return { ...unread, metadata };
  const picked = pick(entry.schema, value);
  return { ...(isRecord(picked) ? picked : {}), apiVersion: entry.apiVersions[0], kind: entry.kind, metadata };
}

function trimMetadata(metadata: unknown, { schema, istio }: KindSchema): unknown {
  const picked = pick(schema.properties.metadata, metadata);
  if (!isRecord(picked)) return metadata;
  // Changes with every write, whatever was written.
  const { resourceVersion, generation, ...others } = picked;
  // Statuses name the version that they are about; of Kubernetes' kinds none is written.
  const kept = istio && generation !== undefined ? { ...others, generation } : others;
  if (!isRecord(kept.annotations)) return kept;
  const annotations = { ...kept.annotations };
  for (const name of BOOKKEEPING) delete annotations[name];
  return { ...kept, annotations };
}

/** A copy with the schema's fields only. What does not fit stays as it is, for the parser to report. */
function pick(schema: TSchema | undefined, value: unknown): unknown {
  if (schema === undefined || typeof value !== "object" || value === null) return value;
  if (Type.IsUnion(schema)) {
    const fits = Array.isArray(value) ? Type.IsArray : Type.IsObject;
    return pick(
      schema.anyOf.find((option) => fits(option)),
      value,
    );
  }
  if (Array.isArray(value)) {
    return Type.IsArray(schema) ? value.map((item) => pick(schema.items, item)) : value;
  }
  if (!Type.IsObject(schema)) return value;
  const picked: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(schema.properties)) {
    const held = Object.hasOwn(value, name) ? Object.getOwnPropertyDescriptor(value, name)?.value : undefined;
    if (held !== undefined) picked[name] = pick(field, held);
  }
  return picked;
}
