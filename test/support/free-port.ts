import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer, type ListenOptions, type Server } from "node:net";

/** Below the ports that Linux gives to connections and to whoever asks for port 0, and Kubernetes to Services. */
const FIRST = 20_000;
const COUNT = 10_000;

/**
 * A port on which nobody listens: for programs that cannot choose one themselves, for those that come back to theirs,
 * and for what is to be refused. No connection of another test takes it meanwhile, as it would one behind port 0, nor
 * is it given to a test of another process as long as this one lives: a name that one process alone can have says so.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST + randomInt(COUNT);
    const mark = await listening({ path: `\0trysail-test-port-${port}` });
    mark?.unref();
    const server = mark === null ? null : await listening({ port, host: "0.0.0.0" });
    if (server === null) continue;
    server.close();
    await once(server, "close");
    return port;
  }
}

/** Null where somebody has it. */
async function listening(where: ListenOptions): Promise<Server | null> {
  const server = createServer().listen(where);
  try {
    await once(server, "listening");
    return server;
  } catch {
    return null;
  }
}
