import type { JsonObject } from "@bufbuild/protobuf";

/** Whether the proxy answers its application's DNS queries, as `proxyMetadata.ISTIO_META_DNS_CAPTURE` asks. */
export function answersDns({ DNS_CAPTURE }: JsonObject): boolean {
  return DNS_CAPTURE === true || DNS_CAPTURE === "true";
}
