import type { AdmissionRequest } from "../injection/review.ts";
import type { Finding } from "../mesh/finding.ts";

/** A Kubernetes Status, as the API server hands it on to its caller: kubectl prints `message`, programs read `causes`. */
export interface Denial {
  readonly code: number;
  readonly reason: string;
  readonly message: string;
  readonly details?: {
    readonly group: string;
    readonly kind: string;
    readonly name: string;
    readonly causes: readonly { readonly reason: string; readonly message: string; readonly field?: string }[];
  };
}

/** The answer to an object with the given errors, of which there is at least one: each a sentence and a field. */
export function buildDenial(errors: readonly Finding[], { kind, name }: AdmissionRequest): Denial {
  const [first, ...more] = errors.map(({ message }) => message);
  const prefix = errors[0]?.object === undefined ? "" : prefixOf(first ?? "");
  const sentences = [first, ...more.map((message) => message.slice(message.startsWith(prefix) ? prefix.length : 0))];
  return {
    code: 422,
    reason: "Invalid",
    message: sentences.join("; "),
    details: {
      group: kind.group ?? "",
      kind: kind.kind,
      name: name ?? errors[0]?.object?.name ?? "",
      causes: errors.map(({ code, message, field }) => ({
        reason: code === "field-unsupported" ? "FieldValueNotSupported" : "FieldValueInvalid",
        message,
        ...(field === undefined ? {} : { field }),
      })),
    },
  };
}

/** `VirtualService shop/cart: `, which one message need say only once. */
function prefixOf(message: string): string {
  return /^\S+ \S+: /.exec(message)?.[0] ?? "";
}
