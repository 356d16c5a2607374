import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** What `trysail dev` tells the program it runs, and what it can be asked. */
export interface Mesh {
  /** The folder of manifests, to be edited. */
  readonly folder: string;
  /** What a cluster would add to it: pods with their addresses, endpoints. */
  readonly objects: string;
  /** The trust bundle of this moment. */
  rootCertificate(): string;
  pods(): Pod[];
  report(): Report;
  proxies(): Promise<ProxyStatus[]>;
  /** What signs and what is trusted, as `trysail ca status` shows it. */
  authority(): Promise<Authority>;
  /** `trysail ca prepare`. */
  prepareRoot(): Promise<void>;
}

export interface Authority {
  readonly slots: readonly { readonly id: string; readonly slot: "active" | "prepared" | "old" }[];
}

export interface Pod {
  readonly name: string;
  readonly app: string;
  readonly serviceAccount: string;
  readonly ip: string;
  /** It has the sidecar. */
  readonly injected: boolean;
}

/** What the runner measured so far. */
export interface Report {
  /** How long the webhook took to answer, one entry per pod, in ms. */
  readonly reviewMs: readonly number[];
  readonly controlPlane: { readonly pid?: number; readonly restarts: number };
}

/** One entry of /debug/syncz. */
export interface ProxyStatus {
  readonly nodeId: string;
  /** It was sent everything that there is for it, and accepted it. */
  readonly inSync: boolean;
  readonly types: { readonly route?: { readonly ackedVersion: string } };
}

interface PodObject {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
  readonly spec: {
    readonly serviceAccountName?: string;
    readonly initContainers?: readonly { readonly name: string }[];
  };
  readonly status?: { readonly podIP?: string };
}

export function openMesh(env: NodeJS.ProcessEnv): Mesh {
  const state = required(env, "TRYSAIL_STATE");
  const http = required(env, "TRYSAIL_HTTP");
  const token = readFileSync(required(env, "TRYSAIL_ADMIN_TOKEN_FILE"), "utf8").trim();
  const objects = join(state, "objects");
  const ask = async (path: string, method = "GET"): Promise<unknown> => {
    const response = await fetch(`${http}${path}`, { method, headers: { authorization: `Bearer ${token}` } });
    if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
    return response.json();
  };
  return {
    folder: required(env, "TRYSAIL_DIR"),
    objects,
    rootCertificate: () => readFileSync(join(state, "control-plane", "ca", "root-cert.pem"), "utf8"),
    pods: () =>
      readdirSync(objects)
        .filter((file) => file.endsWith(".json"))
        .map((file): PodObject => JSON.parse(readFileSync(join(objects, file), "utf8")))
        .filter((object) => object.kind === "Pod")
        .map(describePod),
    report: () => JSON.parse(readFileSync(join(state, "report.json"), "utf8")),
    proxies: async () => (await ask("/debug/syncz")) as ProxyStatus[],
    authority: async () => (await ask("/ca")) as Authority,
    prepareRoot: async () => void (await ask("/ca/prepare", "POST")),
  };
}

function describePod({ metadata, spec, status }: PodObject): Pod {
  return {
    name: metadata.name,
    app: metadata.labels?.app ?? metadata.name,
    serviceAccount: spec.serviceAccountName ?? "default",
    ip: status?.podIP ?? "",
    injected: spec.initContainers?.some((container) => container.name === "istio-proxy") ?? false,
  };
}

function required(env: NodeJS.ProcessEnv, name: string): string {
  const value = env[name];
  if (value === undefined) throw new Error(`${name} is not set: run this by trysail dev (make demo)`);
  return value;
}
