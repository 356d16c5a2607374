import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import { type TestControlPlane, testControlPlane } from "./control-plane.ts";
import type { RunningEnvoy } from "./envoy.ts";
import { startJoinedEnvoy } from "./joined-envoy.ts";
import { endpoint, istio, pod, service } from "./manifests.ts";
import { startUpstream } from "./upstream.ts";

/** The labels of its pod. */
export const GATEWAY_LABELS = { istio: "ingress" };
/** Where it ends TLS. */
export const GATEWAY_PORT = 8443;

export interface JoinedGateway {
  readonly envoy: RunningEnvoy;
  readonly mesh: TestControlPlane;
  /** Replaces one file of the mesh. */
  change(file: string, text: string): Promise<void>;
  /** A connection of TLS under a name, once it stands. */
  open(servername: string, options?: ConnectionOptions): Promise<TLSSocket>;
  /** The name in the certificate that a caller is shown; `refused` where there is none. */
  shown(servername: string, options?: ConnectionOptions): Promise<string>;
}

/**
 * Joins a gateway that listens at `ip`, and routes all names of the Gateways `public` and `other` to one upstream, to a
 * control plane that serves these files.
 */
export async function startJoinedGateway(
  t: TestContext,
  ip: string,
  files: Readonly<Record<string, string>>,
): Promise<JoinedGateway> {
  const web = await startUpstream(t, "web");
  const around = [
    pod({ name: "edge-0", ip, labels: GATEWAY_LABELS, serviceAccount: "web" }),
    pod({ name: "web-0", ip: "127.0.0.1", labels: { app: "web" } }),
    service({ name: "web", ports: { http: 80 }, clusterIP: "10.96.0.7" }),
    endpoint("web", { name: "web-0", ip: "127.0.0.1" }, { http: web.port }),
    istio("VirtualService", "web", {
      hosts: ["*"],
      gateways: ["public", "other"],
      http: [{ route: [{ destination: { host: "web" } }] }],
    }),
  ].join("");
  const mesh = await testControlPlane(t, { "mesh.yaml": around, ...files });
  const rootPem = await readFile(mesh.rootPath, "utf8");
  const envoy = await startJoinedEnvoy(t, mesh, { pod: "edge-0", type: "router", labels: GATEWAY_LABELS, rootPem });
  const open = (servername: string, options: ConnectionOptions = {}) =>
    new Promise<TLSSocket>((resolve, reject) => {
      const to = { host: ip, port: GATEWAY_PORT, servername, rejectUnauthorized: false, ...options };
      const socket = connect(to, () => resolve(socket));
      socket.on("error", reject);
      t.after(() => socket.destroy());
    });
  const shown = async (servername: string, options: ConnectionOptions = {}) => {
    const socket = await open(servername, options).catch(() => null);
    const name = socket?.getPeerCertificate().subject.CN ?? "refused";
    socket?.destroy();
    return String(name);
  };
  return { envoy, mesh, open, shown, change: (file, text) => writeFile(join(mesh.dir, file), text) };
}

/** One request on a connection that stays open: the answer's status line. */
export async function askOn(socket: TLSSocket, host: string): Promise<string> {
  const answer = await answerOn(socket, host);
  return answer.slice(0, answer.indexOf("\r\n"));
}

/** The whole answer to such a request, whose body ends with a brace. */
export function answerOn(socket: TLSSocket, host: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let heard = "";
    const take = (bytes: Buffer) => {
      heard += bytes.toString();
      if (!heard.includes("}")) return;
      socket.off("data", take).off("close", lost);
      resolve(heard);
    };
    const lost = () => reject(new Error(`the connection ended behind ${JSON.stringify(heard)}`));
    socket.on("data", take).on("close", lost);
    socket.write(`GET / HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
  });
}
