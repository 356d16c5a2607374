/** Of the webhooks' answers only a mutation has a `patch`: a JSON patch, as base64. */
export interface ReviewResponse {
  readonly uid: string;
  readonly allowed: boolean;
  readonly patch?: string;
}

/** The AdmissionReview that answers a request, as it goes over the wire. */
export function encodeReview({ patch, ...rest }: ReviewResponse): Buffer {
  const text = JSON.stringify({ apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", response: rest });
  // Base64 has nothing that JSON escapes, but JSON.stringify would look at each of its many characters.
  return Buffer.from(patch === undefined ? text : `${text.slice(0, -"}}".length)},"patch":"${patch}"}}`);
}
