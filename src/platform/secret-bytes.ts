import { inspect } from "node:util";

/** Key material that cannot be printed: every way to a string shows [redacted]. */
export class SecretBytes {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** The bytes themselves; not a copy. */
  reveal(): Uint8Array {
    return this.#bytes;
  }

  /** Overwrites the bytes, wherever else they are referred to. */
  wipe(): void {
    this.#bytes.fill(0);
  }

  toString(): string {
    return "[redacted]";
  }

  toJSON(): string {
    return "[redacted]";
  }

  [inspect.custom](): string {
    return "[redacted]";
  }
}
