import { type Static, Type } from "typebox";

/**
 * What an injection template adds: a part of a pod, merged over the pod (`mergePod`). Only what injection itself looks
 * at is typed; a template may hold any other field of a Pod.
 */
const TemplateContainer = Type.Object({ name: Type.String({ minLength: 1 }) });

export const PodTemplate = Type.Object({
  metadata: Type.Optional(
    Type.Object({
      labels: Type.Optional(Type.Record(Type.String(), Type.String())),
      annotations: Type.Optional(Type.Record(Type.String(), Type.String())),
    }),
  ),
  spec: Type.Optional(
    Type.Object({
      initContainers: Type.Optional(Type.Array(TemplateContainer)),
      containers: Type.Optional(Type.Array(TemplateContainer)),
      volumes: Type.Optional(Type.Array(Type.Object({ name: Type.String() }))),
      imagePullSecrets: Type.Optional(Type.Array(Type.Object({ name: Type.String() }))),
    }),
  ),
});
export type PodTemplate = Static<typeof PodTemplate>;
