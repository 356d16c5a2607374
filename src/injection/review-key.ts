import { hash } from "node:crypto";

/** What one review asks, apart from which review it is. */
export interface ReviewKey {
  readonly uid: string;
  /** Short, and equal for reviews to which the same is to be answered, such as those of one ReplicaSet's pods. */
  readonly key: string;
}

/**
 * Reads a review without decoding it: null where it is not written as Kubernetes' API server writes it, or is large.
 *
 * Taken out of the key are the review's uid, the random name of the volume with the service account's token, and when a
 * field's manager was here last. Each is found by what stands around it, where nothing else can stand, and leaves a
 * character that JSON cannot hold; so keys are equal only where all the rest is, byte for byte, and the tag that was asked
 * under.
 */
export function readReviewKey(body: Buffer, tag: string | null = null): ReviewKey | null {
  if (body.length > MAX_BYTES) return null;
  const text = body.toString("latin1");
  const uidEnd = PREFIX.length + UID_LENGTH;
  if (!text.startsWith(PREFIX) || !text.startsWith(BEHIND_UID, uidEnd)) return null;
  const uid = text.slice(PREFIX.length, uidEnd);
  if (!UID.test(uid)) return null;
  const asked = `${JSON.stringify(tag)}${text.slice(uidEnd).replace(VOLATILE, "\0")}`;
  return { uid, key: hash("sha256", asked, "base64") };
}

/** Whether a patch repeats something that keys leave out, and so is for one pod alone. */
export function isForOnePod(patch: Buffer): boolean {
  return IN_PATCH.some((text) => patch.includes(text));
}

const MAX_BYTES = 64 * 1024;

const PREFIX = '{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"';
const UID = /^[-0-9a-f]+$/;
const UID_LENGTH = 36;
const BEHIND_UID = '","kind":{';

const TOKEN_VOLUME = "kube-api-access-";
const TOKEN_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLATILE = new RegExp(
  [
    `"name":"${TOKEN_VOLUME}[a-z0-9]{5}",(?="projected":\\{|"readOnly":true,"mountPath":"${TOKEN_FOLDER}"\\})`,
    `"time":"[-0-9T:]{19}Z"(?=,"fieldsType":"FieldsV1")`,
  ].join("|"),
  "g",
);
const IN_PATCH: readonly string[] = [TOKEN_VOLUME, '"managedFields"'];
