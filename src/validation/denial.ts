import type { AdmissionRequest } from "../injection/review.ts";
import type { Finding } from "../mesh/finding.ts";

/** A Kubernetes Status, as the API server hands it on to its caller: kubectl prints kind, name and `causes`, other programs `message`. */
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
  const sentences = [first, ...more.map((message) => withoutStart(message, prefix))];
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
        message: withoutStart(withoutStart(message, prefix), `${field} `),
        ...(field === undefined ? {} : { field }),
      })),
    },
  };
}

/** A cause is printed behind its field, which it need not say again. */
function withoutStart(message: string, start: string): string {
  return message.startsWith(start) ? message.slice(start.length) : message;
}

/** `VirtualService shop/cart: `, which one message need say only once. */
function prefixOf(message: string): string {
  return /^\S+ \S+: /.exec(message)?.[0] ?? "";
}
