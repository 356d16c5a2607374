import { connect, createServer, type Socket } from "node:net";
import type { TestContext } from "node:test";
import { listenOn } from "../support/upstream.ts";
import type { TestKubernetes } from "./start-kubernetes.ts";

/** Leads to an API server, and may be told to lead nowhere. */
export interface Relay {
  readonly url: string;
  /** Connections that are open through it. */
  open(): number;
  /** Nothing passes any more, and nobody is told: connections stay open, and new ones are taken. */
  cut(): void;
  /** New connections lead on; those of before are reset, as a firewall does that has forgotten them. */
  mend(): void;
}

export async function startRelay(t: TestContext, kubernetes: TestKubernetes): Promise<Relay> {
  const { port } = new URL(kubernetes.url);
  const open = new Set<{ readonly client: Socket; readonly server: Socket | undefined }>();
  let isCut = false;
  const relay = createServer((client) => {
    const server = isCut ? undefined : connect(Number(port), "127.0.0.1");
    const pair = { client, server };
    open.add(pair);
    client.on("error", () => client.destroy());
    client.on("close", () => {
      open.delete(pair);
      server?.destroy();
    });
    server?.on("error", () => server.destroy());
    server?.on("close", () => client.destroy());
    if (server !== undefined) client.pipe(server).pipe(client);
  });
  const relayPort = await listenOn(t, relay, "127.0.0.1");
  return {
    url: `https://127.0.0.1:${relayPort}`,
    open: () => open.size,
    cut() {
      isCut = true;
      for (const { client, server } of open) for (const socket of [client, server]) socket?.unpipe().pause();
    },
    mend() {
      isCut = false;
      for (const { client } of open) client.resetAndDestroy();
    },
  };
}
