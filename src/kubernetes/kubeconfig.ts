import { readFile } from "node:fs/promises";
import { Agent } from "node:https";
import type { Clock } from "../platform/clock.ts";
import { messageOf, TrysailError } from "../platform/errors.ts";
import {
  CREDENTIALS_REREAD_MS,
  type KubernetesConnection,
  type KubernetesCredentials,
  TCP_KEEP_ALIVE_MS,
} from "./connection.ts";
import { type Content, type Kubeconfig, parseKubeconfig } from "./parse-kubeconfig.ts";
import { openPluginConnection } from "./plugin-connection.ts";

/**
 * The current context of a kubeconfig file. What the file says is read anew where the API server refuses it, the files
 * it names every minute. Rejects with `invalid-argument` where it names no API server that can be verified.
 * https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
 */
export async function openKubeconfig(path: string, clock: Clock): Promise<KubernetesConnection> {
  let config = await load(path);
  const { server } = config;
  if (config.needsPlugin) return openPluginConnection({ path, server });
  let known: (KubernetesCredentials & { readonly at: number; readonly fingerprint: string }) | undefined;

  const reread = async (): Promise<KubernetesCredentials> => {
    const { root, certificate, key, token } = config;
    const tls = {
      ...(root && { ca: await contentOf(root) }),
      ...(certificate && { cert: await contentOf(certificate) }),
      ...(key && { key: await contentOf(key) }),
      ...(config.serverName !== undefined && { servername: config.serverName }),
    };
    const fingerprint = Object.values(tls).map(String).join("\0");
    // Requests that are under way end on the old agent's connections; idle ones are not used again.
    const agent =
      known?.fingerprint === fingerprint
        ? known.agent
        : new Agent({ keepAlive: true, keepAliveMsecs: TCP_KEEP_ALIVE_MS, ...tls });
    const headers = token === undefined ? {} : { authorization: `Bearer ${String(await contentOf(token)).trim()}` };
    known = { at: clock.now(), fingerprint, agent, headers };
    return known;
  };

  return {
    server,
    async credentials({ refresh }): Promise<KubernetesCredentials> {
      if (refresh) config = await load(path);
      if (!refresh && known !== undefined && clock.now() - known.at < CREDENTIALS_REREAD_MS) return known;
      return reread();
    },
    close() {
      known?.agent.destroy();
    },
  };
}

async function load(path: string): Promise<Kubeconfig> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    throw new TrysailError("invalid-argument", `kubeconfig ${path} cannot be read: ${messageOf(cause)}`, { cause });
  }
  return parseKubeconfig(text, path);
}

async function contentOf(content: Content): Promise<Buffer> {
  if ("data" in content) return content.data;
  try {
    return await readFile(content.path);
  } catch (cause) {
    const message = `${content.path}, which the kubeconfig names, cannot be read: ${messageOf(cause)}`;
    throw new TrysailError("unauthenticated", message, { cause });
  }
}
