/**
 * Something about the user's configuration that they should know: data, never an exception. An `error` means the
 * object is not used (its last good version stays); a `warning` means it is used, but not wholly as written.
 */
export interface Finding {
  readonly severity: "error" | "warning" | "info";
  /** Stable and documented, such as `schema-invalid`. */
  readonly code: FindingCode;
  /** One sentence saying what is wrong and what to do. */
  readonly message: string;
  /** Where the object was read from. */
  readonly origin?: Origin;
  /** The object, where the document got as far as being one. */
  readonly object?: ObjectRef;
  /** Of the object, where it is told: the version of it that this is about. */
  readonly generation?: number;
  /** JSON path inside the object, such as `spec.http[0].route[1].weight`. */
  readonly field?: string;
}

export type FindingCode =
  | "source-unreadable"
  | "document-too-large"
  | "document-malformed"
  | "not-an-object"
  | "kind-unsupported"
  | "schema-invalid"
  | "field-unsupported"
  | "object-duplicate"
  | "object-conflict"
  | "reference-missing"
  | "value-invalid"
  | "value-refused"
  | "proxy-rejected";

/** Names an object the way kubectl does. `namespace` is empty for cluster-scoped kinds. */
export interface ObjectRef {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** Where an object came from. */
export interface Origin {
  readonly file: string;
  /** Counted from 1 within the file. */
  readonly document: number;
}

/** `VirtualService bookstore/reviews`. */
export function describeObject(ref: ObjectRef): string {
  return `${ref.kind} ${ref.namespace === "" ? ref.name : `${ref.namespace}/${ref.name}`}`;
}
