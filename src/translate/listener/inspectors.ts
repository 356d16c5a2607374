import { create } from "@bufbuild/protobuf";
import {
  type FilterChain,
  type ListenerFilter,
  type ListenerFilterChainMatchPredicate,
  ListenerFilterChainMatchPredicate_MatchSetSchema,
  ListenerFilterChainMatchPredicateSchema,
  ListenerFilterSchema,
} from "../../gen/envoy/config/listener/v3/listener_components_pb.ts";
import { HttpInspectorSchema } from "../../gen/envoy/extensions/filters/listener/http_inspector/v3/http_inspector_pb.ts";
import { TlsInspectorSchema } from "../../gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.ts";
import { Int32RangeSchema } from "../../gen/envoy/type/v3/range_pb.ts";
import { HTTP_CONNECTION_MANAGER } from "../names.ts";
import { typedConfig } from "../typed-config.ts";

/** Listener filters that look into a connection's first bytes, by which its filter chain is chosen. */

/**
 * What Envoy's HTTP inspector finds in the first bytes of a connection that it can read as requests. HTTP/1.0 it would
 * answer with 426 by itself: that is passed on like other bytes.
 */
export const HTTP_BY_INSPECTION = ["http/1.1", "h2c"];

export const httpInspector = {
  name: "envoy.filters.listener.http_inspector",
  configType: { case: "typedConfig" as const, value: typedConfig(HttpInspectorSchema, {}) },
};

export const tlsInspector = {
  name: "envoy.filters.listener.tls_inspector",
  configType: { case: "typedConfig" as const, value: typedConfig(TlsInspectorSchema, {}) },
};

/**
 * Those by which the chains of an inbound listener are told apart, but not at ports where others than HTTP would wait
 * for nothing: a server that speaks first is heard only when a look into the caller's bytes is given up. A policy may ask
 * what TLS says besides.
 */
export function inspectorsFor(chains: readonly FilterChain[], asksServerName: boolean): ListenerFilter[] {
  const byTransport = portsWith(
    chains,
    ({ filterChainMatch }) => asksServerName || filterChainMatch?.transportProtocol === "tls",
  );
  const byProtocol = portsWith(chains, ({ filterChainMatch }) =>
    HTTP_BY_INSPECTION.some((protocol) => filterChainMatch?.applicationProtocols.includes(protocol) === true),
  );
  return [...inspectorAt(tlsInspector, byTransport), ...inspectorAt(httpInspector, byProtocol)];
}

/**
 * Whether each port has such a chain; undefined stands for the ports that have none of their own. A port of requests
 * alone that has none is not told of, since its callers speak first: where such ports come and go, only chains change,
 * and Envoy keeps the connections of all others.
 */
function portsWith(chains: readonly FilterChain[], isSuch: (chain: FilterChain) => boolean) {
  const ports = new Map<number | undefined, boolean>();
  for (const chain of chains) {
    const port = chain.filterChainMatch?.destinationPort;
    if (isSuch(chain)) ports.set(port, true);
    else if (!ports.has(port) && !takesRequests(chain)) ports.set(port, false);
  }
  return ports;
}

function takesRequests({ filters }: FilterChain): boolean {
  return filters.some(({ name }) => name === HTTP_CONNECTION_MANAGER);
}

function inspectorAt(
  inspector: typeof tlsInspector,
  needs: ReadonlyMap<number | undefined, boolean>,
): ListenerFilter[] {
  const isUsual = needs.get(undefined) === true;
  const exceptions = [...needs].flatMap(([port, isNeeded]) =>
    port !== undefined && isNeeded !== isUsual ? [port] : [],
  );
  if (exceptions.length === 0) return isUsual ? [create(ListenerFilterSchema, inspector)] : [];
  const there = among(exceptions);
  const filterDisabled = isUsual ? there : predicate({ case: "notMatch", value: there });
  return [create(ListenerFilterSchema, { ...inspector, filterDisabled })];
}

function among(ports: readonly number[]): ListenerFilterChainMatchPredicate {
  const rules = ports.map((port) =>
    predicate({ case: "destinationPortRange", value: create(Int32RangeSchema, { start: port, end: port + 1 }) }),
  );
  const [first, ...others] = rules;
  return first !== undefined && others.length === 0
    ? first
    : predicate({ case: "orMatch", value: create(ListenerFilterChainMatchPredicate_MatchSetSchema, { rules }) });
}

function predicate(rule: ListenerFilterChainMatchPredicate["rule"]): ListenerFilterChainMatchPredicate {
  return create(ListenerFilterChainMatchPredicateSchema, { rule });
}
