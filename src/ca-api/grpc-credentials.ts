import { X509Certificate } from "node:crypto";
import type { Metadata } from "@grpc/grpc-js";
import { bearerToken, type Credentials } from "../ca/caller/authenticate.ts";
import { peerAddress } from "../platform/peer-address.ts";

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
    address: peerAddress(call),
    clientCertificate() {
      // Answers a certificate only where TLS has verified it.
      const raw = call.getAuthContext().sslPeerCertificate?.raw;
      return raw === undefined ? undefined : new X509Certificate(raw);
    },
  };
}
