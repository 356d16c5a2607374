import type { ChangeProgress } from "./change-progress.ts";

/** How far one stream is with the changes of the mesh: which it has read, and which its proxy has answered for. */
export class CatchUp {
  readonly #changes: ChangeProgress;
  #behindSinceMs: number | null = null;
  /** It was told of a change that it has not read yet. */
  #unread = false;
  /** Numbers of changes. */
  #read = 0;
  #answered = 0;

  constructor(changes: ChangeProgress) {
    this.#changes = changes;
  }

  /** When the first change came that the proxy has not answered for; null where there is none. */
  get behindSinceMs(): number | null {
    return this.#behindSinceMs;
  }

  /** The stream opens with all that there is now: what changed before is nothing that it is waited for. */
  begin(): void {
    this.#read = this.#changes.latest;
    this.#answered = this.#read;
  }

  /** Something changed, which the stream is to read when it is its turn. */
  told(nowMs: number): void {
    this.#behindSinceMs ??= nowMs;
    this.#unread = true;
  }

  /** The stream has read all that changed. */
  read(): void {
    this.#unread = false;
    this.#read = this.#changes.latest;
  }

  /** The proxy has answered for all that was read. Answers since when it was behind, where it is so no more; else null. */
  answered(): number | null {
    this.#changes.answered(this.#answered, this.#read);
    this.#answered = this.#read;
    if (this.#unread) return null;
    const behindSinceMs = this.#behindSinceMs;
    this.#behindSinceMs = null;
    return behindSinceMs;
  }

  /** The stream is gone: nothing waits for it any more. */
  end(): void {
    this.#changes.answered(this.#answered, this.#changes.latest);
  }
}
