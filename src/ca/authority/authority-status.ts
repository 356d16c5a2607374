import { X509Certificate } from "node:crypto";
import { subjectText } from "../x509/pem-certificates.ts";
import { type AuthorityMaterial, validityOf } from "./authority-material.ts";
import type { AuthorityState, SlotOrigin } from "./authority-state.ts";
import type { RevocationStatus } from "./revocation-judge.ts";
import type { RotationFacts, Step } from "./rotation.ts";

/** What `trysail ca status` shows; no secrets in it. Times are milliseconds since the epoch. */
export interface AuthorityStatus {
  readonly slots: readonly SlotStatus[];
  /** Null where nobody is there who could know: when the state is read without a control plane. */
  readonly facts: Pick<RotationFacts, "proxies" | "acknowledged" | "behind"> | null;
  readonly next: Step | null;
  /** Why the plugged-in authority could not be used when it was last read. */
  readonly sourceProblem: string | null;
  /** Null where there are no revocation lists, or nobody is there who could know. */
  readonly revocationLists: RevocationStatus | null;
}

export interface SlotStatus {
  readonly id: string;
  readonly slot: "active" | "prepared" | "old";
  readonly origin: SlotOrigin;
  readonly subject: string;
  /** Such as `ec prime256v1` or `rsa 4096`. */
  readonly key: string;
  readonly notAfter: number;
  /** For an old one: until when certificates of it may be valid. */
  readonly leavesUntil: number | null;
}

export function slotStatuses({ active, prepared, old }: AuthorityState): SlotStatus[] {
  const current = (slot: "active" | "prepared", material: AuthorityMaterial & { id: string; origin: SlotOrigin }) => ({
    ...describe(material.certificatePem),
    id: material.id,
    slot,
    origin: material.origin,
    notAfter: validityOf(material).notAfter,
    leavesUntil: null,
  });
  return [
    current("active", active),
    ...(prepared === null ? [] : [current("prepared", prepared)]),
    ...old.map(({ id, origin, certificatePem, leavesUntil }) => ({
      ...describe(certificatePem),
      id,
      slot: "old" as const,
      origin,
      notAfter: new X509Certificate(certificatePem).validToDate.getTime(),
      leavesUntil,
    })),
  ];
}

function describe(certificatePem: string): { subject: string; key: string } {
  const certificate = new X509Certificate(certificatePem);
  const { asymmetricKeyType, asymmetricKeyDetails } = certificate.publicKey;
  const size = asymmetricKeyDetails?.namedCurve ?? asymmetricKeyDetails?.modulusLength;
  return { subject: subjectText(certificate), key: `${asymmetricKeyType} ${size ?? ""}`.trim() };
}
