import type { KubernetesObject } from "./object.ts";
import type { ReflectorSink } from "./reflector.ts";

/**
 * The part of a reflector's sink that keeps what `keptOf` makes of each object, by `NAMESPACE/NAME`. A list takes the
 * place of all that was known once it was read to its end. `onChange` gets the same map until the next list.
 */
export function objectMap<T>(
  keptOf: (object: KubernetesObject) => T,
  onChange: (values: ReadonlyMap<string, T>) => void,
): Pick<ReflectorSink, "beginList" | "apply"> {
  let values = new Map<string, T>();
  return {
    beginList() {
      const listed = new Map<string, T>();
      return {
        add(items) {
          for (const item of items) listed.set(keyOf(item), keptOf(item));
        },
        end() {
          values = listed;
          onChange(values);
        },
      };
    },
    apply({ type, object }) {
      if (type === "DELETED") values.delete(keyOf(object));
      else values.set(keyOf(object), keptOf(object));
      onChange(values);
    },
  };
}

function keyOf({ metadata: { namespace = "", name = "" } }: KubernetesObject): string {
  return `${namespace}/${name}`;
}
