import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";

/** Below the ports that Linux gives to connections and to whoever asks for port 0, and Kubernetes to Services. */
const FIRST = 20_000;
const COUNT = 10_000;

const given = new Set<number>();

/**
 * A port on which nobody listens: for programs that cannot choose one themselves, for those that come back to theirs,
 * and for what is to be refused. No connection of another test takes it meanwhile, as it would one behind port 0.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST + randomInt(COUNT);
    if (given.has(port) || !(await isFree(port))) continue;
    given.add(port);
    return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, "0.0.0.0");
  try {
    await once(server, "listening");
  } catch {
    return false;
  }
  server.close();
  await once(server, "close");
  return true;
}
