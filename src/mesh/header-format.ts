/** What Envoy puts into a header's value in place of `%NAME%` or `%NAME(ARGUMENTS)%`. */
const COMMANDS: ReadonlySet<string> = new Set(
  `CONNECTION_ID DOWNSTREAM_DIRECT_REMOTE_ADDRESS DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT
  DOWNSTREAM_LOCAL_ADDRESS DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT DOWNSTREAM_LOCAL_PORT DOWNSTREAM_LOCAL_URI_SAN
  DOWNSTREAM_LOCAL_SUBJECT DOWNSTREAM_PEER_FINGERPRINT_256 DOWNSTREAM_PEER_ISSUER DOWNSTREAM_PEER_SERIAL
  DOWNSTREAM_PEER_SUBJECT DOWNSTREAM_PEER_URI_SAN DOWNSTREAM_REMOTE_ADDRESS DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT
  DOWNSTREAM_REMOTE_PORT DOWNSTREAM_TLS_CIPHER DOWNSTREAM_TLS_VERSION HOSTNAME PROTOCOL REQUESTED_SERVER_NAME
  RESPONSE_CODE RESPONSE_CODE_DETAILS RESPONSE_FLAGS ROUTE_NAME START_TIME UPSTREAM_CLUSTER UPSTREAM_HOST
  UPSTREAM_LOCAL_ADDRESS UPSTREAM_REMOTE_ADDRESS VIRTUAL_CLUSTER_NAME`.split(/\s+/),
);
const COMMANDS_WITH_ARGUMENT: ReadonlySet<string> = new Set(["REQ", "RESP"]);

/**
 * What is wrong with a header's value as Envoy's format, where a percent sign begins a command and `%%` is the sign
 * itself; null where nothing is. One bad value would have Envoy refuse a whole route table.
 */
export function headerFormatProblem(value: string): string | null {
  for (const [whole, command, argument] of value.matchAll(/%(?:%|(?:([A-Z][A-Z0-9_]*)(?:\(([^()%]+)\))?%)?)/g)) {
    if (whole === "%%") continue;
    if (command === undefined) return "has a percent sign that begins no command: write %% for the sign itself";
    if (!(argument === undefined ? COMMANDS : COMMANDS_WITH_ARGUMENT).has(command)) {
      return `has ${whole}, which is not supported: write %% for a percent sign`;
    }
  }
  return null;
}
