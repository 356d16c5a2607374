import { type Static, Type } from "typebox";
import { Compile } from "typebox/compile";
import { TrysailError } from "../platform/errors.ts";

const StringMap = Type.Record(Type.String(), Type.String());

const KubernetesObjectSchema = Type.Object({
  apiVersion: Type.Optional(Type.String()),
  kind: Type.Optional(Type.String()),
  metadata: Type.Object({
    name: Type.Optional(Type.String()),
    namespace: Type.Optional(Type.String()),
    uid: Type.Optional(Type.String()),
    resourceVersion: Type.Optional(Type.String()),
    generation: Type.Optional(Type.Integer()),
    labels: Type.Optional(StringMap),
    annotations: Type.Optional(StringMap),
  }),
});
const validator = Compile(KubernetesObjectSchema);

/** An object of any kind, as an API server writes it: the caller's own schema reads what is beside the metadata. */
export type KubernetesObject = Static<typeof KubernetesObjectSchema> & { readonly [field: string]: unknown };

/** Throws TrysailError `unavailable`: an API server that answers something else is none. */
export function parseKubernetesObject(value: unknown, what: string): KubernetesObject {
  if (isKubernetesObject(value)) return value;
  throw new TrysailError("unavailable", `${what}: the answer is not a Kubernetes object`);
}

function isKubernetesObject(value: unknown): value is KubernetesObject {
  return validator.Check(value);
}
