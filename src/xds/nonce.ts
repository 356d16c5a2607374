/** A response as far as nonces go: shared by many streams, each of which may send it once under its own nonce. */
export interface Numbered {
  readonly nonce: string;
  /** Grows with each response that the server encodes. */
  readonly serial: number;
}

/** The nonces of one type on one stream: the one response that awaits its answer, and which numbers are used up. */
export class Nonces {
  #lastSerial = 0;
  #last = "";
  #awaiting = false;

  /** Whether a response is on its way that the proxy has neither accepted nor rejected. */
  get awaiting(): boolean {
    return this.#awaiting;
  }

  /** A response shared with other streams keeps its nonce unless this stream has sent it, or a later one, before. */
  isUsed(response: Numbered): boolean {
    return response.serial <= this.#lastSerial;
  }

  sent(response: Numbered): void {
    this.#lastSerial = response.serial;
    this.#last = response.nonce;
    this.#awaiting = true;
  }

  /**
   * What a request with this nonce is: the answer to the response on its way; a request of its own (no nonce);
   * a request after the answer was already given; or stale, an answer to something since replaced.
   */
  classify(nonce: string): "answer" | "unprompted" | "repeated" | "stale" {
    if (nonce === "") return "unprompted";
    if (nonce !== this.#last) return "stale";
    return this.#awaiting ? "answer" : "repeated";
  }

  answered(): void {
    this.#awaiting = false;
  }
}
