import type { ObjectRef } from "../../mesh/finding.ts";
import { refOf } from "../../mesh/object.ts";
import type { RateLimit } from "../../mesh/trysail/rate-limit.ts";

const NAME = /^envoy\.filters\.(?:http|network)\.(?:local_)?ratelimit\/([^/]+)\/([^/]+)/;

/** `envoy.filters.http.ratelimit/shop/api`: a filter has no metadata, so its name says which object made it. */
export function rateLimitFilterName(filter: string, policy: RateLimit, limit = ""): string {
  const { namespace, name } = refOf(policy);
  return `${filter}/${namespace}/${name}${limit === "" ? "" : `/${limit}`}`;
}

/** The RateLimit that made the filter of this name; undefined for any other. */
export function rateLimitOf(filterName: string): ObjectRef | undefined {
  const [, namespace, name] = NAME.exec(filterName) ?? [];
  return namespace === undefined || name === undefined ? undefined : { kind: "RateLimit", namespace, name };
}
