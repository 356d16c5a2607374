import type { ServerDuplexStream } from "@grpc/grpc-js";
import type { Authenticate } from "../ca/caller/authenticate.ts";
import type { WorkloadIdentity } from "../ca/identity.ts";
import { grpcCredentials } from "../ca-api/grpc-credentials.ts";
import type { GrpcServer } from "../platform/grpc-server.ts";

export interface AuthenticateStreamDeps {
  readonly authenticate: Authenticate;
  readonly server: Pick<GrpcServer, "callerKnown">;
}

/**
 * Who opens a stream. What a stream began with is kept for as long as it is open, which is where the token must not be: it
 * is good for hours, and a dump of the memory would show it.
 */
export async function authenticateStream(
  { authenticate, server }: AuthenticateStreamDeps,
  call: ServerDuplexStream<Buffer, Buffer>,
): Promise<WorkloadIdentity> {
  const caller = await authenticate(grpcCredentials(call));
  server.callerKnown(call);
  call.metadata.remove("authorization");
  return caller;
}
