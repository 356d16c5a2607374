import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { temporaryPath } from "./state.ts";

/** Envoy is in another network: it reaches the control plane's port by a socket, in a folder that only root enters. */
export async function socketTo(t: TestContext, port: number): Promise<string> {
  const folder = await temporaryPath(t, "control-plane");
  await mkdir(folder);
  const path = join(folder, "ads.sock");
  const server = createServer((socket) => {
    const onward = connect(port, "127.0.0.1");
    socket.pipe(onward).pipe(socket);
    for (const end of [socket, onward]) end.on("error", () => [socket, onward].map((each) => each.destroy()));
  });
  t.after(() => server.close());
  await once(server.listen(path), "listening");
  return path;
}
