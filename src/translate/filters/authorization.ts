import { create } from "@bufbuild/protobuf";
import { type Filter, FilterSchema } from "../../gen/envoy/config/listener/v3/listener_components_pb.ts";
import { type Policy, type RBAC, RBAC_Action, RBACSchema } from "../../gen/envoy/config/rbac/v3/rbac_pb.ts";
import { RBACSchema as HttpRbacSchema } from "../../gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts";
import {
  type HttpFilter,
  HttpFilterSchema,
} from "../../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { RBACSchema as NetworkRbacSchema } from "../../gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.ts";
import { isDryRun } from "../../mesh/dry-run.ts";
import type { AuthorizationPolicy } from "../../mesh/istio/authorization-policy.ts";
import { labelsMatch } from "../../mesh/labels.ts";
import type { MeshConfig } from "../../mesh/mesh-config.ts";
import { compareText } from "../../mesh/object.ts";
import { typedConfig } from "../typed-config.ts";
import type { Workload } from "../workload.ts";
import { buildRule, type RuleContext } from "./authorization-rule.ts";

/** What stands in front of a workload, for its HTTP ports and for the rest. */
export interface Authorization {
  readonly http: readonly HttpFilter[];
  readonly network: readonly Filter[];
  /** A policy asks which name the caller's TLS is for, whoever ends it. */
  readonly asksServerName: boolean;
}

/**
 * https://istio.io/latest/docs/concepts/security/#implicit-enablement: a request that a DENY policy matches is
 * refused; else, where there are ALLOW policies, one of them must match.
 */
export function buildAuthorization(
  policies: readonly AuthorizationPolicy[],
  workload: Workload,
  config: MeshConfig,
): Authorization {
  const applying = policies.filter(
    (policy) => isDryRun(policy) !== true && labelsMatch(policy.spec.selector?.matchLabels, workload.labels),
  );
  const http: HttpFilter[] = [];
  const network: Filter[] = [];
  for (const action of ["DENY", "ALLOW"] as const) {
    const ofAction = applying.filter(({ spec }) => (spec.action ?? "ALLOW") === action);
    if (ofAction.length === 0) continue;
    http.push(httpFilter(rbac(ofAction, { action, layer: "http" }, config)));
    network.push(networkFilter(rbac(ofAction, { action, layer: "tcp" }, config)));
  }
  const asksServerName = applying.some(({ spec }) =>
    spec.rules?.some(({ when }) => when?.some(({ key }) => key === "connection.sni")),
  );
  return { http, network, asksServerName };
}

/** Without a rule, ALLOW allows nobody and DENY denies nobody: RBAC with no policy means the same. */
function rbac(
  policies: readonly AuthorizationPolicy[],
  { action, layer }: Pick<RuleContext, "action" | "layer">,
  { trustDomain, trustDomainAliases }: MeshConfig,
): RBAC {
  const rules: [string, Policy][] = policies.flatMap(({ metadata: { namespace, name }, spec }) =>
    (spec.rules ?? []).flatMap((rule, i): [string, Policy][] => {
      const built = buildRule(rule, { action, layer, trustDomains: [trustDomain, ...trustDomainAliases], namespace });
      return built === null ? [] : [[`ns[${namespace}]-policy[${name}]-rule[${i}]`, built]];
    }),
  );
  return create(RBACSchema, {
    action: RBAC_Action[action],
    policies: Object.fromEntries(rules.sort(([a], [b]) => compareText(a, b))),
  });
}

function httpFilter(rules: RBAC): HttpFilter {
  return create(HttpFilterSchema, {
    name: "envoy.filters.http.rbac",
    configType: { case: "typedConfig", value: typedConfig(HttpRbacSchema, { rules }) },
  });
}

function networkFilter(rules: RBAC): Filter {
  return create(FilterSchema, {
    name: "envoy.filters.network.rbac",
    configType: { case: "typedConfig", value: typedConfig(NetworkRbacSchema, { rules, statPrefix: "tcp." }) },
  });
}
