/** A piece of a pod as it stands in the manifest. */
export interface NamedObject {
  readonly name: string;
  readonly [field: string]: unknown;
}

export interface NewContainer extends NamedObject {
  readonly args: readonly string[];
  readonly volumeMounts: readonly NamedObject[];
}
