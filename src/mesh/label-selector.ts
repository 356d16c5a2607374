import { type Static, Type } from "typebox";

/** https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#resources-that-support-set-based-requirements */
export const LabelSelector = Type.Object(
  {
    matchLabels: Type.Optional(Type.Record(Type.String(), Type.String())),
    matchExpressions: Type.Optional(
      Type.Array(
        Type.Object(
          {
            key: Type.String({ minLength: 1 }),
            operator: Type.Union([
              Type.Literal("In"),
              Type.Literal("NotIn"),
              Type.Literal("Exists"),
              Type.Literal("DoesNotExist"),
            ]),
            values: Type.Optional(Type.Array(Type.String())),
          },
          { additionalProperties: false },
        ),
      ),
    ),
  },
  { additionalProperties: false },
);
export type LabelSelector = Static<typeof LabelSelector>;

/** An empty selector selects nothing, as in Istio's injection settings, where it would otherwise select every pod. */
export function selects(selector: LabelSelector, labels: Readonly<Record<string, string>>): boolean {
  const exact = Object.entries(selector.matchLabels ?? {});
  const expressions = selector.matchExpressions ?? [];
  if (exact.length === 0 && expressions.length === 0) return false;
  const found = (key: string) => (Object.hasOwn(labels, key) ? labels[key] : undefined);
  return (
    exact.every(([key, value]) => found(key) === value) &&
    expressions.every(({ key, operator, values = [] }) => {
      const value = found(key);
      const isListed = value !== undefined && values.includes(value);
      if (operator === "In") return isListed;
      if (operator === "NotIn") return !isListed;
      return operator === "Exists" ? value !== undefined : value === undefined;
    })
  );
}
