import { X509Certificate } from "node:crypto";
import { connect as connectTcp } from "node:net";
import type { Duplex } from "node:stream";
import { connect as connectTls, type DetailedPeerCertificate } from "node:tls";
import { listAll } from "../../kubernetes/list-all.ts";
import { resourcePath } from "../../kubernetes/resource-path.ts";
import { messageOf, TrysailError } from "../../platform/errors.ts";
import type { InstalledWebhook } from "../webhook-configuration.ts";
import { type CheckTarget, controlPlaneName } from "./check.ts";

/** What a control plane shows whoever connects to it. */
export interface ServedCertificate {
  /** Who shows it, for people. */
  readonly from: string;
  readonly leaf: X509Certificate;
  /** What it sends along. */
  readonly chain: readonly X509Certificate[];
}

const HANDSHAKE_MS = 10_000;
const WEBHOOK_PORT = 15017;

/**
 * The certificate of each replica's webhook port: through the API server's port forwarding, or straight where the
 * webhooks name an address. Rejects with `unavailable` where one cannot be reached.
 */
export async function servedCertificates(
  { client, openPort, systemNamespace: namespace, revision }: CheckTarget,
  { url }: InstalledWebhook["clientConfig"],
): Promise<readonly ServedCertificate[]> {
  if (url !== undefined) {
    const { hostname, port, host } = new URL(url);
    return [await handshake(host, connectTcp(Number(port || "443"), hostname.replace(/^\[|\]$/g, "")))];
  }
  const query = { labelSelector: `app=trysail,istio.io/rev=${revision}`, fieldSelector: "status.phase=Running" };
  const pods = await listAll(client, resourcePath({ apiVersion: "v1", resource: "pods", namespace }), { query });
  if (pods.length === 0) {
    throw new TrysailError("not-found", `no pod of ${controlPlaneName(revision)} runs in ${namespace}`);
  }
  const found: ServedCertificate[] = [];
  for (const { metadata } of pods) {
    const pod = metadata.name ?? "";
    found.push(await handshake(pod, await openPort({ namespace, pod, port: WEBHOOK_PORT })));
  }
  return found;
}

function handshake(from: string, socket: Duplex): Promise<ServedCertificate> {
  return new Promise((resolve, reject) => {
    // Whatever is shown is looked at: whether it should be trusted is the question.
    const tls = connectTls({ socket, rejectUnauthorized: false });
    const fail = (error: Error) => {
      clearTimeout(timer);
      tls.destroy();
      socket.destroy();
      reject(new TrysailError("unavailable", `${from} does not answer: ${messageOf(error)}`, { cause: error }));
    };
    const timer = setTimeout(() => fail(new Error(`no handshake within ${HANDSHAKE_MS / 1000} s`)), HANDSHAKE_MS);
    socket.once("error", fail);
    tls.once("error", fail);
    tls.once("secureConnect", () => {
      clearTimeout(timer);
      const [leaf, ...chain] = chainOf(tls.getPeerCertificate(true));
      tls.destroy();
      socket.destroy();
      if (leaf === undefined) reject(new TrysailError("unavailable", `${from} shows no certificate`));
      else resolve({ from, leaf, chain });
    });
  });
}

/** Node links each certificate to its issuer, and a root to itself. */
function chainOf(first: DetailedPeerCertificate): X509Certificate[] {
  const chain: X509Certificate[] = [];
  const seen = new Set<DetailedPeerCertificate>();
  for (let next = first; next?.raw !== undefined && !seen.has(next); next = next.issuerCertificate) {
    seen.add(next);
    chain.push(new X509Certificate(next.raw));
  }
  return chain;
}
