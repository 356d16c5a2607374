import { setTimeout as sleep } from "node:timers/promises";

/** What a Node program holds once everything that it no longer needs has been collected, in MB. */
export interface LiveMemory {
  readonly heapMb: number;
  readonly rssMb: number;
}

const MB = 1024 * 1024;

/**
 * Asks a program whose inspector is about to listen on 127.0.0.1, as SIGUSR1 makes it.
 * https://chromedevtools.github.io/devtools-protocol/
 */
export async function liveMemory(inspectorPort: number): Promise<LiveMemory> {
  const socket = new WebSocket(await debuggerUrl(inspectorPort));
  try {
    await new Promise((resolve, reject) => {
      socket.addEventListener("open", resolve, { once: true });
      socket.addEventListener("error", () => reject(new Error("the inspector cannot be reached")), { once: true });
    });
    await call(socket, 1, "HeapProfiler.collectGarbage", {});
    const { result } = await call(socket, 2, "Runtime.evaluate", {
      expression: "process.memoryUsage()",
      returnByValue: true,
    });
    const { heapUsed, rss } = result?.value ?? {};
    if (heapUsed === undefined || rss === undefined) throw new Error("the inspector tells no use of memory");
    return { heapMb: heapUsed / MB, rssMb: rss / MB };
  } finally {
    socket.close();
  }
}

async function debuggerUrl(inspectorPort: number): Promise<string> {
  const deadline = performance.now() + 5000;
  while (performance.now() < deadline) {
    try {
      const response = await fetch(`http://127.0.0.1:${inspectorPort}/json/list`);
      const targets: readonly { readonly webSocketDebuggerUrl: string }[] = JSON.parse(await response.text());
      if (targets[0] !== undefined) return targets[0].webSocketDebuggerUrl;
    } catch {
      // not listening yet
    }
    await sleep(20);
  }
  throw new Error("the inspector does not listen");
}

interface InspectorResult {
  readonly result?: { readonly value?: { readonly heapUsed?: number; readonly rss?: number } };
}

function call(socket: WebSocket, id: number, method: string, params: object): Promise<InspectorResult> {
  return new Promise((resolve, reject) => {
    socket.addEventListener("close", () => reject(new Error("the inspector hung up")), { once: true });
    socket.addEventListener("message", function answered({ data }) {
      const message: { id?: number; result?: InspectorResult } = JSON.parse(String(data));
      if (message.id !== id) return;
      socket.removeEventListener("message", answered);
      resolve(message.result ?? {});
    });
    socket.send(JSON.stringify({ id, method, params }));
  });
}
