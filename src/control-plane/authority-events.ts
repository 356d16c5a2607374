import type { ExpiryWarning } from "../ca/authority/expiry-warning.ts";
import type { TamperNotice } from "../ca/authority/rotator.ts";
import type { EventRecorder, EventSubject } from "../kubernetes/event-recorder.ts";
import { TRUST_BUNDLE_MAP } from "../platform/trust-bundle.ts";

/** Tells of an authority that nears its end, on the Secret in which it is kept. */
export function recordExpiry(
  events: Pick<EventRecorder, "record">,
  regarding: EventSubject,
  { warning, message }: { readonly warning: ExpiryWarning; readonly message: string },
): void {
  const reason = warning === "expired" ? "AuthorityExpired" : "AuthorityExpires";
  events.record({ regarding, type: "Warning", reason, action: "RotateAuthority", note: message });
}

/** Tells of proxies that keep a new authority from signing, on the Secret in which it is kept. */
export function recordHeld(events: Pick<EventRecorder, "record">, regarding: EventSubject, note: string): void {
  events.record({ regarding, type: "Warning", reason: "RotationHeld", action: "RotateAuthority", note });
}

/** Tells of a Secret that somebody deleted, emptied or broke, on that Secret. */
export function recordTampering(
  events: Pick<EventRecorder, "record">,
  regarding: EventSubject,
  { kind, message }: TamperNotice,
): void {
  const reason = kind === "restored" ? "AuthorityRestored" : "AuthorityUnreadable";
  events.record({ regarding, type: "Warning", reason, action: "KeepAuthority", note: message });
}

/** Tells of a Secret that a replica waits for, since without it the mesh would get a root that no workload trusts. */
export function recordKeyMissing(
  events: Pick<EventRecorder, "record"> | null,
  regarding: EventSubject,
  reason: string,
): void {
  const anew = `kubectl delete configmap --all-namespaces --field-selector metadata.name=${TRUST_BUNDLE_MAP}`;
  const note = `${reason}. No new root is made: a control plane that runs puts the Secret back within seconds, else restore it from a backup. Where there is none, "${anew}" lets the mesh begin with a new root, and every workload with a sidecar must be restarted then: docs/ca-authority.md, "A lost key".`;
  events?.record({ regarding, type: "Warning", reason: "AuthorityMissing", action: "KeepAuthority", note });
}

/** Tells of a trust bundle that another control plane, or somebody's tool, keeps as well, on its ConfigMap. */
export function recordContest(
  events: Pick<EventRecorder, "record">,
  configMap: { readonly namespace: string; readonly name: string },
): void {
  events.record({
    regarding: { apiVersion: "v1", kind: "ConfigMap", ...configMap },
    type: "Warning",
    reason: "TrustBundleContested",
    action: "KeepTrustBundle",
    note: "Somebody else overwrites the mesh's trust bundle all the time, as the control plane of another mesh does: its metadata.managedFields name who. Pods that mount it trust now one mesh, now the other.",
  });
}

/** Tells of a replica whose webhooks the API server will soon refuse to call, on its pod. */
export function recordNotRenewed(
  events: Pick<EventRecorder, "record"> | null,
  regarding: EventSubject,
  note: string,
): void {
  events?.record({ regarding, type: "Warning", reason: "CertificateNotRenewed", action: "RenewCertificate", note });
}
