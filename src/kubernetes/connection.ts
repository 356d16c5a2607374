import type { Agent, OutgoingHttpHeaders } from "node:http";

/** Where an API server is, and how to be known to it. */
export interface KubernetesConnection {
  /** `https://HOST:PORT`, with the path in front of `/api` and `/apis` where there is one. */
  readonly server: string;
  /**
   * What a request needs. Credentials expire, so they are asked for anew with each request; `refresh` says that the
   * last ones were refused. Rejects with a TrysailError.
   */
  credentials(options: { readonly refresh: boolean }): Promise<KubernetesCredentials>;
  close(): void;
}

/** Below the minute or so after which load balancers forget an idle connection. */
export const TCP_KEEP_ALIVE_MS = 30_000;

/** Tokens and roots in files are replaced before they expire; client-go reads them as often. */
export const CREDENTIALS_REREAD_MS = 60_000;

export interface KubernetesCredentials {
  /** Keeps connections open, verifies the API server, and holds the client's certificate where there is one. */
  readonly agent: Agent;
  readonly headers: OutgoingHttpHeaders;
}
