import { createServer, type IncomingMessage } from "node:http";

export interface Answer {
  readonly status?: number;
  readonly type?: "application/json" | "text/html; charset=utf-8";
  readonly body: string;
}

export type Handler = (request: IncomingMessage) => Answer | Promise<Answer>;

export function json(value: unknown, status = 200): Answer {
  return { status, body: `${JSON.stringify(value)}\n` };
}

/**
 * Serves `routes` (path → handler) and /healthz on PORT, 9080 where unset. A handler that throws answers 502: in
 * this application that is always a service behind it. SIGTERM lets requests under way finish, then ends.
 */
export function serve(name: string, routes: Readonly<Record<string, Handler>>): void {
  const handlers = new Map<string, Handler>([...Object.entries(routes), ["/healthz", () => json({ ok: true })]]);
  let underWay = 0;
  let ending = false;
  const endWhenDone = () => {
    if (ending && underWay === 0) process.exit(0);
  };
  const server = createServer(async (request, response) => {
    underWay++;
    response.once("close", () => {
      underWay--;
      endWhenDone();
    });
    const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
    let answer: Answer;
    try {
      answer = (await handlers.get(path)?.(request)) ?? json({ error: `${name} has no ${path}` }, 404);
    } catch (thrown) {
      answer = json({ error: `${name}: ${describe(thrown)}` }, 502);
    }
    response.writeHead(answer.status ?? 200, { "content-type": answer.type ?? "application/json" }).end(answer.body);
  });
  // The proxy in front decides how long a connection lives: whoever closes first may meet a request on its way.
  server.keepAliveTimeout = 0;
  const port = Number(process.env.PORT ?? 9080);
  server.listen(port, () => console.log(`${name} listens on ${port}`));
  process.once("SIGTERM", () => {
    ending = true;
    server.close();
    endWhenDone();
  });
}

/** fetch says only that it failed; why is in the cause. */
function describe(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  return thrown.cause instanceof Error ? `${thrown.message}: ${thrown.cause.message}` : thrown.message;
}

/** The JSON at `url`; rejects for any status but 200. The reader's name goes along, so that routes can match it. */
export async function ask(url: string, request: IncomingMessage): Promise<unknown> {
  const reader = request.headers["x-reader"];
  const response = await fetch(url, { headers: typeof reader === "string" ? { "x-reader": reader } : {} });
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${(await response.text()).slice(0, 200)}`);
  return response.json();
}
