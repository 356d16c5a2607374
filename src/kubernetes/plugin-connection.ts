import { Agent, type RequestOptions } from "node:https";
import type { KubeConfig } from "@kubernetes/client-node";
import { messageOf, TrysailError } from "../platform/errors.ts";
import { type KubernetesConnection, type KubernetesCredentials, TCP_KEEP_ALIVE_MS } from "./connection.ts";

export interface PluginConnectionOptions {
  /** Of a kubeconfig that `parseKubeconfig` has accepted. */
  readonly path: string;
  readonly server: string;
}

/**
 * What a kubeconfig needs client-node for: exec plugins, OIDC, basic authentication, impersonation, proxies. Rejects
 * with `invalid-argument` where client-node cannot read it.
 */
export async function openPluginConnection({ path, server }: PluginConnectionOptions): Promise<KubernetesConnection> {
  let config = await load(path);
  let own: { readonly key: string; readonly agent: Agent } | undefined;

  const agentFor = (options: RequestOptions): KubernetesCredentials["agent"] => {
    if (config.getCurrentCluster()?.proxyUrl !== undefined && typeof options.agent === "object") return options.agent;
    // client-node's own agent shakes hands for every request.
    const { ca, cert, key, servername } = options;
    const given = { ca, cert, key, servername };
    const fingerprint = Object.values(given).map(String).join("\0");
    if (own?.key !== fingerprint) {
      const tls = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
      own = { key: fingerprint, agent: new Agent({ keepAlive: true, keepAliveMsecs: TCP_KEEP_ALIVE_MS, ...tls }) };
    }
    return own.agent;
  };

  return {
    server,
    async credentials({ refresh }): Promise<KubernetesCredentials> {
      // Tools that log people in write new tokens into the file.
      if (refresh) config = await load(path);
      const options: RequestOptions = {};
      try {
        await config.applyToHTTPSOptions(options);
      } catch (cause) {
        const message = `${path} gives no credentials: ${firstLine(messageOf(cause))}`;
        throw new TrysailError("unauthenticated", message, { cause });
      }
      const basic = options.auth ? { authorization: `Basic ${Buffer.from(options.auth).toString("base64")}` } : {};
      return { agent: agentFor(options), headers: { ...basic, ...headersOf(options) } };
    },
    close() {
      own?.agent.destroy();
    },
  };
}

async function load(path: string): Promise<KubeConfig> {
  // It takes half a second and 85 MB, which those who need no plugin must not pay.
  const { KubeConfig } = await import("@kubernetes/client-node");
  const config = new KubeConfig();
  try {
    config.loadFromFile(path);
  } catch (cause) {
    // Its messages may quote the file, which holds secrets: the first line does not.
    throw new TrysailError("invalid-argument", `${path} is not a kubeconfig: ${firstLine(messageOf(cause))}`);
  }
  return config;
}

function headersOf({ headers }: RequestOptions): Record<string, string> {
  const entries = Object.entries(headers ?? {}).flatMap(([name, value]) =>
    typeof value === "string" ? [[name.toLowerCase(), value]] : [],
  );
  return Object.fromEntries(entries);
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? "";
}
