import { DeltaStream } from "../../src/xds/delta-stream.ts";
import { NameTable } from "../../src/xds/name-set.ts";
import { parseDeltaRequest, parseSotwRequest } from "../../src/xds/request.ts";
import type { ProxyResources } from "../../src/xds/resource-set.ts";
import { ResponseEncoder } from "../../src/xds/response-encoder.ts";
import { SotwStream } from "../../src/xds/sotw-stream.ts";
import { deltaRequestBytes, type SeenResponse, seenDelta, seenSotw, sotwRequestBytes } from "./xds-messages.ts";

const LIMITS = { maxNames: 50, maxNodeBytes: 1000 };

/** What several streams of one server share. */
export function sharedDeps() {
  return { table: new NameTable(), encoder: new ResponseEncoder({ keptBytes: 1e6 }), limits: LIMITS };
}

/** A state-of-the-world stream that takes plain requests and answers plain responses. */
export function sotwDriver(resources: ProxyResources, deps = sharedDeps()) {
  const stream = new SotwStream(deps, resources);
  return {
    stream,
    request: (request: Parameters<typeof sotwRequestBytes>[0]) =>
      stream.request(parseSotwRequest(sotwRequestBytes(request), deps.table, LIMITS)),
    /** All that there is to send now. */
    responses: () => collect(() => stream.next()?.bytes, seenSotw),
  };
}

/** The same for a delta stream. */
export function deltaDriver(resources: ProxyResources, deps = sharedDeps()) {
  const stream = new DeltaStream(deps, resources);
  return {
    stream,
    request: (request: Parameters<typeof deltaRequestBytes>[0]) =>
      stream.request(parseDeltaRequest(deltaRequestBytes(request), deps.table, LIMITS)),
    responses: () => collect(() => stream.next()?.bytes, seenDelta),
  };
}

function collect(next: () => Uint8Array | undefined, seen: (bytes: Uint8Array) => SeenResponse): SeenResponse[] {
  const responses: SeenResponse[] = [];
  for (let bytes = next(); bytes; bytes = next()) responses.push(seen(bytes));
  return responses;
}

/** `cluster: a=1 b=1 -c`, for each response. */
export function summary(responses: readonly SeenResponse[]): string[] {
  return responses.map(({ typeUrl, resources, removed }) => {
    const type = { Cluster: "cluster", ClusterLoadAssignment: "endpoint", Listener: "listener", Secret: "secret" }[
      typeUrl.split(".").at(-1) ?? ""
    ];
    return [`${type ?? "route"}:`, ...resources, ...removed.map((name) => `-${name}`)].join(" ");
  });
}
