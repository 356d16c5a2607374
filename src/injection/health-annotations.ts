import { checkProxyConfig } from "../mesh/check-proxy-config.ts";
import { TrysailError } from "../platform/errors.ts";
import { entry } from "./annotation-entry.ts";
import * as value from "./annotation-values.ts";
import { parsePorts } from "./interception-lists.ts";

const wholeNumber = value.parseWholeNumber;

/** How the proxy and, through it, the app are asked whether they are well. */
export const HEALTH_ANNOTATIONS = {
  statusPort: entry({
    name: "status.sidecar.istio.io/port",
    type: "port, or 0",
    parse: parseStatusPort,
    fallback: "`15020`",
    effect:
      "where metrics, health and the app's probes are; health stays on 15021 as well; 0 takes the sidecar's own probes away",
  }),
  initialDelaySeconds: entry({
    name: "readiness.status.sidecar.istio.io/initialDelaySeconds",
    type: "number",
    parse: wholeNumber(0, 86_400),
    fallback: "`0`",
    effect: "of the sidecar's readiness probe",
  }),
  periodSeconds: entry({
    name: "readiness.status.sidecar.istio.io/periodSeconds",
    type: "number",
    parse: wholeNumber(1, 86_400),
    fallback: "`15`",
    effect: "of the sidecar's readiness probe",
  }),
  failureThreshold: entry({
    name: "readiness.status.sidecar.istio.io/failureThreshold",
    type: "number",
    parse: wholeNumber(1, 1_000_000),
    fallback: "`4`",
    effect: "of the sidecar's readiness probe",
  }),
  applicationPorts: entry({
    name: "readiness.status.sidecar.istio.io/applicationPorts",
    type: "ports",
    parse: parsePorts,
    effect: "none",
    without: "the app's own probes say whether it listens",
  }),
  rewriteAppProbes: entry({
    name: "sidecar.istio.io/rewriteAppHTTPProbers",
    type: "true or false",
    parse: value.parseBoolean,
    fallback: "`true`",
    effect: "whether the app's probes are moved to the status port",
  }),
} as const;

function parseStatusPort(text: string, source: string): number {
  const statusPort = wholeNumber(0, 65_535)(text, source);
  const [problem] = checkProxyConfig({ statusPort });
  if (problem === undefined) return statusPort;
  throw new TrysailError("invalid-argument", `${source}: ${problem.reason}`);
}
