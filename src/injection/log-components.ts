/** The parts of Envoy that log under a name of their own; it does not start where it is told of another. */
export const LOG_COMPONENTS: ReadonlySet<string> = new Set([
  ..."a2a admin ai_protocol_manager alternate_protocols_cache assert aws backtrace basic_auth cache_filter".split(" "),
  ..."client compression config conn_handler connection credential_injector decompression dns dubbo".split(" "),
  ..."dynamic_modules envoy_bug ext_authz ext_proc file filter forward_proxy geolocation golang grpc".split(" "),
  ..."happy_eyeballs hc health_checker http http2 hystrix init io ip_tagging json_rpc jwt kafka".split(" "),
  ..."key_value_store local_rate_limit lua main matcher mcp misc mongo multi_connection notification".split(" "),
  ..."oauth2 pool quic quic_stream rate_limit_quota rbac rds redis rocketmq router runtime secret sse".split(" "),
  ..."stats stats_sinks tap testing thrift tracing udp upstream wasm websocket".split(" "),
]);
