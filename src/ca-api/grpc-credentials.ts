import { X509Certificate } from "node:crypto";
import type { Metadata } from "@grpc/grpc-js";
import { bearerToken, type Credentials } from "../ca/caller/authenticate.ts";

/** A call of any kind, as far as it shows who makes it. */
export interface CallerOfGrpc {
  readonly metadata: Metadata;
  getPeer(): string;
  getAuthContext(): { readonly sslPeerCertificate?: { readonly raw: Buffer } };
}

/** What a gRPC caller shows of itself; `clusterid` is Istio's header. */
export function grpcCredentials(call: CallerOfGrpc): Credentials {
  return {
    token: bearerToken(call.metadata.get("authorization")[0]?.toString()),
    clusterId: call.metadata.get("clusterid")[0]?.toString(),
    address: addressOf(call),
    clientCertificate() {
      // Answers a certificate only where TLS has verified it.
      const raw = call.getAuthContext().sslPeerCertificate?.raw;
      return raw === undefined ? undefined : new X509Certificate(raw);
    },
  };
}

/** Of `ADDRESS:PORT`, as gRPC says it, what a caller's connections have in common. */
export function addressOf(call: Pick<CallerOfGrpc, "getPeer">): string {
  return call.getPeer().replace(/:[0-9]+$/, "");
}
