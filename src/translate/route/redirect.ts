import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type RedirectAction,
  RedirectAction_RedirectResponseCode,
  RedirectActionSchema,
} from "../../gen/envoy/config/route/v3/route_components_pb.ts";
import type { HttpRedirect } from "../../mesh/istio/http-route.ts";

const CODES: Readonly<Record<number, RedirectAction_RedirectResponseCode>> = {
  301: RedirectAction_RedirectResponseCode.MOVED_PERMANENTLY,
  302: RedirectAction_RedirectResponseCode.FOUND,
  303: RedirectAction_RedirectResponseCode.SEE_OTHER,
  307: RedirectAction_RedirectResponseCode.TEMPORARY_REDIRECT,
  308: RedirectAction_RedirectResponseCode.PERMANENT_REDIRECT,
};

/** `requestPort` is the port that the route's table is of, so what FROM_REQUEST_PORT means. */
export function redirectAction(redirect: HttpRedirect, requestPort: number): RedirectAction {
  const { authority, scheme, redirectCode, derivePort } = redirect;
  const wanted = derivePort === "FROM_REQUEST_PORT" ? requestPort : redirect.port;
  // Who follows a redirect finds the port of its scheme by itself; that of requests to a sidecar is http.
  const port = wanted === (scheme === "https" ? 443 : 80) ? undefined : wanted;
  return create(RedirectActionSchema, {
    ...(authority === undefined ? {} : { hostRedirect: authority }),
    ...(port === undefined ? {} : { portRedirect: port }),
    ...(scheme === undefined ? {} : { schemeRewriteSpecifier: { case: "schemeRedirect", value: scheme } }),
    ...newPath(redirect),
    responseCode: CODES[redirectCode ?? 301] ?? RedirectAction_RedirectResponseCode.MOVED_PERMANENTLY,
  });
}

/** The whole path, or what stands in place of the prefix that the route matched. */
function newPath({ uri, prefixRewrite = "" }: HttpRedirect): MessageInitShape<typeof RedirectActionSchema> {
  if (prefixRewrite !== "") return { pathRewriteSpecifier: { case: "prefixRewrite", value: prefixRewrite } };
  return uri === undefined ? {} : { pathRewriteSpecifier: { case: "pathRedirect", value: uri } };
}
