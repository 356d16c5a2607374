import { Agent, request } from "node:https";
import type { KubernetesCredentials } from "../../src/kubernetes/connection.ts";
import { openKubeconfig } from "../../src/kubernetes/kubeconfig.ts";
import { systemClock } from "../../src/platform/clock.ts";
import type { Cleanup } from "../support/cleanup.ts";

export interface KubernetesAnswer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: an object of any kind, which assertions pick apart
  readonly body: any;
  /** What kubectl prints behind `Warning:`. */
  readonly warnings: readonly string[];
}

/** Kubernetes' REST API with a bearer token. Rejects only where there is no answer at all. */
export interface KubernetesClient {
  call(method: string, path: string, body?: unknown, contentType?: string): Promise<KubernetesAnswer>;
}

export function kubernetesClient(
  t: Cleanup,
  { url, ca, token }: { url: string; ca: string; token: string },
): KubernetesClient {
  const agent = new Agent({ keepAlive: true, ca });
  t.after(() => agent.destroy());
  const headers = { authorization: `Bearer ${token}` };
  return { call: (...asked) => call(url, { agent, headers }, ...asked) };
}

/** Of whatever cluster the file's current context names. */
export async function clientByKubeconfig(t: Cleanup, path: string): Promise<KubernetesClient> {
  const connection = await openKubeconfig(path, systemClock);
  t.after(() => connection.close());
  return {
    call: async (...asked) => call(connection.server, await connection.credentials({ refresh: false }), ...asked),
  };
}

function call(
  url: string,
  { agent, headers: credentials }: KubernetesCredentials,
  ...[method, path, body, contentType = "application/json"]: Parameters<KubernetesClient["call"]>
): Promise<KubernetesAnswer> {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const headers = {
      ...credentials,
      accept: "application/json",
      ...(text === undefined ? {} : { "content-type": contentType, "content-length": Buffer.byteLength(text) }),
    };
    const outgoing = request(new URL(path, url), { method, agent, headers, timeout: 60_000 }, (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
      incoming.on("error", reject);
      incoming.on("end", () => {
        const answer = Buffer.concat(chunks).toString();
        resolve({
          status: incoming.statusCode ?? 0,
          body: incoming.headers["content-type"]?.startsWith("application/json") ? JSON.parse(answer) : answer,
          warnings: warningsOf(incoming.headers.warning),
        });
      });
    });
    outgoing.on("timeout", () => outgoing.destroy(new Error(`${method} ${path} took too long`)));
    outgoing.on("error", reject);
    outgoing.end(text);
  });
}

/** RFC 7234, 5.5: `299 - "text", 299 - "text"`. */
function warningsOf(header: string | string[] | undefined): string[] {
  const text = Array.isArray(header) ? header.join(", ") : (header ?? "");
  return [...text.matchAll(/299 \S+ "((?:[^"\\]|\\.)*)"/g)].map(([, quoted = ""]) => quoted.replaceAll(/\\(.)/g, "$1"));
}
