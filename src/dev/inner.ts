import { Server } from "node:net";
import { messageOf, TrysailError } from "../platform/errors.ts";
import type { Source } from "../sources/source.ts";
import { exposures } from "./exposures.ts";
import { createHostPorts, type HostPorts } from "./host-ports.ts";
import { type Node, startNode } from "./node.ts";
import { runOnce } from "./once.ts";
import type { DevOptions, Exposure, ToInner, ToOuter } from "./options.ts";
import { controlPlanePorts } from "./outer.ts";
import { stayUp } from "./stay-up.ts";

/**
 * The half of `trysail dev` that runs inside the namespaces. Resolves with the exit code once all is torn down. Ends at
 * once when the outer process is gone.
 */
export async function runInner(createSource: (folder: string) => Source): Promise<number> {
  if (process.send === undefined) throw new TrysailError("invalid-argument", "--inside is for trysail dev itself");
  const stop = new AbortController();
  const complaints: string[] = [];
  const hostPorts = createHostPorts((hostPort) => tell({ kind: "listen", hostPort }));
  process.once("disconnect", () => process.exit(1));
  const options = await new Promise<DevOptions>((resolve) => {
    process.on("message", (message: ToInner, handle: unknown) => {
      if (message.kind === "start") resolve(message.options);
      else if (message.kind === "stop") stop.abort();
      else if (message.kind === "refused") complaints.push(message.reason);
      else if (handle instanceof Server) hostPorts.adopt(message.hostPort, handle);
    });
    tell({ kind: "ready" });
  });

  const aborted = new Promise<undefined>((resolve) => stop.signal.addEventListener("abort", () => resolve(undefined)));
  process.stderr.write("starting the control plane\n");
  const starting = startNode(options, createSource);
  const node = await Promise.race([starting, aborted]);
  if (node === undefined) return 130; // nothing has started that needs an order to end in
  try {
    openPorts(options, node, hostPorts);
    node.cluster.onChange(() => openPorts(options, node, hostPorts));
    return options.once
      ? await runOnce(options, node, stop.signal)
      : await stayUp(options, node, complaints, stop.signal);
  } finally {
    hostPorts.close();
    await node.stop().catch((thrown: unknown) => process.stderr.write(`trysail: ${messageOf(thrown)}\n`));
    process.removeAllListeners("disconnect");
  }
}

/** Opens what is asked for on the command line, and, unless told not to, the control plane and annotated Services. */
function openPorts(options: DevOptions, node: Node, hostPorts: HostPorts): void {
  if (options.hostPorts) {
    for (const port of controlPlanePorts(options)) hostPorts.open(port, () => ({ host: "127.0.0.1", port }));
  }
  for (const exposure of exposures(options, node.cluster.services())) {
    hostPorts.open(exposure.hostPort, () => addressOf(node, exposure));
  }
}

function addressOf(node: Node, exposure: Exposure): { host: string; port: number } | undefined {
  const view = node.cluster
    .services()
    .find(
      ({ service }) => service.metadata.name === exposure.service && service.metadata.namespace === exposure.namespace,
    );
  const port = view?.ports.find((candidate) => candidate.port === exposure.port);
  if (view === undefined || port === undefined) return undefined;
  if (view.clusterIp !== undefined) return { host: view.clusterIp, port: exposure.port };
  const endpoint = port.endpoints[0];
  return endpoint === undefined ? undefined : { host: endpoint.ip, port: endpoint.port };
}

function tell(message: ToOuter): void {
  process.send?.(message);
}
