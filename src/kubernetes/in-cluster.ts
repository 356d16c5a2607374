import { readFile } from "node:fs/promises";
import { Agent } from "node:https";
import { isIPv6 } from "node:net";
import { join } from "node:path";
import type { Clock } from "../platform/clock.ts";
import { messageOf, TrysailError } from "../platform/errors.ts";
import {
  CREDENTIALS_REREAD_MS,
  type KubernetesConnection,
  type KubernetesCredentials,
  TCP_KEEP_ALIVE_MS,
} from "./connection.ts";

export interface InClusterOptions {
  /** KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT, which the kubelet sets in every pod. */
  readonly host: string;
  readonly port: string;
  readonly clock: Clock;
  /** Where the kubelet mounts the service account's token and the API server's root. */
  readonly accountFolder?: string;
}

const ACCOUNT_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount";

/** The API server of the cluster this pod runs in, as https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/ has it. */
export function createInClusterConnection(options: InClusterOptions): KubernetesConnection {
  const { host, port, clock, accountFolder = ACCOUNT_FOLDER } = options;
  let known:
    | { readonly at: number; readonly token: string; readonly rootPem: string; readonly agent: Agent }
    | undefined;

  const reread = async () => {
    const [token, rootPem] = await Promise.all([textOf(accountFolder, "token"), textOf(accountFolder, "ca.crt")]);
    // Requests that are under way end on the old agent's connections; idle ones are not used again.
    const agent =
      known?.rootPem === rootPem
        ? known.agent
        : new Agent({ keepAlive: true, keepAliveMsecs: TCP_KEEP_ALIVE_MS, ca: rootPem });
    known = { at: clock.now(), token: token.trim(), rootPem, agent };
    return known;
  };

  return {
    server: `https://${isIPv6(host) ? `[${host}]` : host}:${port}`,
    async credentials({ refresh }): Promise<KubernetesCredentials> {
      const fresh =
        !refresh && known !== undefined && clock.now() - known.at < CREDENTIALS_REREAD_MS ? known : undefined;
      const { agent, token } = fresh ?? (await reread());
      return { agent, headers: { authorization: `Bearer ${token}` } };
    },
    close() {
      known?.agent.destroy();
    },
  };
}

async function textOf(folder: string, name: string): Promise<string> {
  const path = join(folder, name);
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    const message = `the service account's ${name} cannot be read from ${path}: ${messageOf(cause)}`;
    throw new TrysailError("unauthenticated", message, { cause });
  }
}
