import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { Cleanup } from "./cleanup.ts";

/** A control plane's debug pages that say what the test says, to whoever shows the token `admin`; resolves with their URL. */
export async function serveDebugPages(
  t: Cleanup,
  answer: (path: string) => { readonly status: number; readonly body: string },
): Promise<string> {
  const server = createServer((request, response) => {
    const { status, body } = answer(request.url ?? "");
    response.statusCode = request.headers.authorization === "Bearer admin" ? status : 401;
    response.end(body);
  }).listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return `http://127.0.0.1:${address.port}`;
}
