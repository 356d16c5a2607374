import type { ExpiryWarning } from "../ca/authority/expiry-warning.ts";
import type { EventRecorder, EventSubject } from "../kubernetes/event-recorder.ts";

/** Tells of an authority that nears its end, on the Secret in which it is kept. */
export function recordExpiry(
  events: Pick<EventRecorder, "record">,
  regarding: EventSubject,
  { warning, message }: { readonly warning: ExpiryWarning; readonly message: string },
): void {
  const reason = warning === "expired" ? "AuthorityExpired" : "AuthorityExpires";
  events.record({ regarding, type: "Warning", reason, action: "RotateAuthority", note: message });
}
