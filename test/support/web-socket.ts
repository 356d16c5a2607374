import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request } from "node:http";
import type { TestContext } from "node:test";
import { listenOn } from "./upstream.ts";

/** Switches protocols for whoever asks, then echoes. */
export function startWebSocketEcho(t: TestContext, ip: string): Promise<number> {
  const server = createServer((_request, response) => response.end());
  server.on("upgrade", ({ headers }, socket) => {
    socket.on("error", () => socket.destroy());
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: ${headers.upgrade}\r\n\r\n`);
    socket.on("data", (bytes) => socket.write(`echo ${bytes}`));
  });
  return listenOn(t, server, ip);
}

/** That a request for `host` at `port` becomes a WebSocket, on which the test upstream answers both of two messages; or `upgrade`. */
export async function assertWebSocketEchoes(
  t: TestContext,
  port: number,
  host: string,
  upgrade: string = "websocket",
): Promise<void> {
  const headers = { host, connection: "upgrade", upgrade };
  const sent = request({ host: "127.0.0.1", port, headers }).end();
  const [response, socket] = await once(sent, "upgrade");
  t.after(() => socket.destroy());
  assert.equal(response.statusCode, 101);
  for (const text of ["one", "two"]) {
    socket.write(text);
    const [bytes] = await once(socket, "data");
    assert.equal(String(bytes), `echo ${text}`);
  }
}
