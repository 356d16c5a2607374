import { HttpInspectorSchema } from "../../gen/envoy/extensions/filters/listener/http_inspector/v3/http_inspector_pb.ts";
import { TlsInspectorSchema } from "../../gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.ts";
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
