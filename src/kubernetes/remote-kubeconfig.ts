import { Agent } from "node:https";
import { TrysailError } from "../platform/errors.ts";
import { type KubernetesConnection, TCP_KEEP_ALIVE_MS } from "./connection.ts";
import { type Content, parseKubeconfig } from "./parse-kubeconfig.ts";

/** To read YAML takes the square of its keys, and everything else waits meanwhile. */
const MAX_BYTES = 2 ** 16;

/**
 * The current context of a kubeconfig that came over the network, in a Secret. It holds its credentials itself: whoever
 * may write it must not make the control plane run a program or read its files. Throws `invalid-argument` naming `where`
 * and what it may not have; no message quotes the text.
 */
export function openRemoteKubeconfig(text: string, where: string): KubernetesConnection {
  const refuse = (reason: string) => new TrysailError("invalid-argument", `${where} ${reason}`);
  if (Buffer.byteLength(text) > MAX_BYTES) {
    throw refuse(`is longer than ${MAX_BYTES} bytes: write a kubeconfig of one cluster and one user`);
  }
  const config = parseKubeconfig(text, where);
  if (config.needsPlugin) {
    throw refuse("names a program, a proxy, a password or another user: only a token or a client certificate is taken");
  }
  const read = (content: Content | undefined, field: string): Buffer | undefined => {
    if (content === undefined || "data" in content) return content?.data;
    throw refuse(`names a file for ${field}: write its content into the kubeconfig`);
  };
  const ca = read(config.root, "certificate-authority");
  const cert = read(config.certificate, "client-certificate");
  const key = read(config.key, "client-key");
  const token = read(config.token, "tokenFile");
  if (token === undefined && (cert === undefined || key === undefined)) {
    throw refuse("has neither a token nor a client certificate with its key");
  }
  const agent = new Agent({
    keepAlive: true,
    keepAliveMsecs: TCP_KEEP_ALIVE_MS,
    ...(ca && { ca }),
    ...(cert && { cert }),
    ...(key && { key }),
    ...(config.serverName !== undefined && { servername: config.serverName }),
  });
  const headers = token === undefined ? {} : { authorization: `Bearer ${String(token).trim()}` };
  let isClosed = false;
  return {
    server: config.server,
    async credentials() {
      // A destroyed agent would open connections anew, and keep them.
      if (isClosed) throw new TrysailError("unavailable", `${where} is not used any more`);
      return { agent, headers };
    },
    close() {
      isClosed = true;
      agent.destroy();
    },
  };
}
