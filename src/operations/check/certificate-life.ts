import type { X509Certificate } from "node:crypto";
import type { Outcome } from "./check.ts";

const SOON_MS = 30 * 86_400_000;

/** Whether a certificate is valid now, and for long enough to do something about it. */
export function certificateLife(what: string, { validFromDate, validToDate }: X509Certificate, now: number): Outcome {
  const left = validToDate.getTime() - now;
  const until = `${validToDate.toISOString().slice(0, 16)}Z`;
  const action = "trysail ca status says what comes next; docs/ca-authority.md how to rotate";
  if (left <= 0) return { status: "fail", message: `${what} ended at ${until}`, action };
  const fromNow = validFromDate.getTime() - now;
  if (fromNow > 0) {
    const begins = "compare the clocks above: it begins later than now";
    return { status: "fail", message: `${what} begins at ${validFromDate.toISOString()}`, action: begins };
  }
  const lifeMs = validToDate.getTime() - validFromDate.getTime();
  // One that lives for a day is renewed long before its last third.
  if (left < Math.min(SOON_MS, lifeMs / 10)) {
    return { status: "warn", message: `${what} ends soon, at ${until}`, action };
  }
  return { status: "pass", message: `${what} is valid until ${until}` };
}
