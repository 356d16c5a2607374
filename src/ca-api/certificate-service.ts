import { Metadata, type ServerUnaryCall, type ServiceDefinition, type sendUnaryData } from "@grpc/grpc-js";
import type { CertificateRequest, Certified } from "../ca/certify.ts";
import { loggedCause, reasonOf } from "../ca/refusal.ts";
import { OVERLOAD_RETRY_MS } from "../ca/signing-queue.ts";
import { TrysailError } from "../platform/errors.ts";
import { unaryOfBytes } from "../platform/grpc-methods.ts";
import type { GrpcServer } from "../platform/grpc-server.ts";
import { grpcStatusOf } from "../platform/grpc-status.ts";
import type { Logger } from "../platform/log.ts";
import { certificateResponse, type IstioCertificateRequest, parseCertificateRequest } from "./certificate-messages.ts";
import { grpcCredentials } from "./grpc-credentials.ts";

export interface CertificateServiceDeps {
  certify(request: CertificateRequest): Promise<Certified>;
  /** Every root that peers must accept. */
  trustBundlePem(): string;
  readonly log: Pick<Logger, "warn">;
  readonly metrics?: { refused(reason: string): void };
}

type Call = ServerUnaryCall<Buffer, Buffer>;

/** Adds Istio's certificate service to the TLS listener: without TLS there is no identity, and so no certificate. */
export function addCertificateService(
  server: Pick<GrpcServer, "addService" | "callerKnown">,
  deps: CertificateServiceDeps,
): void {
  server.addService("tls", CERTIFICATE_SERVICE, {
    createCertificate(call: Call, callback: sendUnaryData<Buffer>) {
      answer(deps, call).then(
        (response) => {
          server.callerKnown(call);
          callback(null, response);
        },
        (error: unknown) => callback({ ...grpcStatusOf(error), metadata: trailersOf(error) }),
      );
    },
  });
}

async function answer(deps: CertificateServiceDeps, call: Call): Promise<Buffer> {
  const request = parse(deps, call);
  const { chainPem } = await deps.certify({
    credentials: grpcCredentials(call),
    csr: request.csr,
    ttlMs: request.validitySeconds * 1000,
    impersonated: request.impersonatedIdentity,
    audit: { ...auditOf(call), certSigner: request.certSigner?.slice(0, LONGEST_SIGNER) },
  });
  return certificateResponse(responseChain(chainPem, deps.trustBundlePem()));
}

/** `certify` counts and logs what it refuses; this is what does not come so far. */
function parse(deps: CertificateServiceDeps, call: Call): IstioCertificateRequest {
  try {
    return parseCertificateRequest(call.request);
  } catch (error) {
    const reason = reasonOf(error);
    deps.metrics?.refused(reason);
    deps.log.warn({ ...auditOf(call), reason, ...loggedCause(error) }, "certificate refused");
    throw error;
  }
}

function auditOf(call: Call) {
  return { protocol: "grpc" as const, peer: call.getPeer() };
}

/** As Istio answers: the leaf, what stands above it (if anything does), and last the roots. */
function responseChain(chainPem: string, rootsPem: string): string[] {
  const end = chainPem.indexOf(END) + END.length;
  const above = chainPem.slice(end);
  return [chainPem.slice(0, end), ...(above === "" ? [] : [above]), rootsPem];
}

/** When to ask again, as gRPC's own clients read it (gRFC A6). */
function trailersOf(error: unknown): Metadata {
  const trailers = new Metadata();
  if (error instanceof TrysailError && (error.code === "resource-exhausted" || error.code === "unavailable")) {
    trailers.set("grpc-retry-pushback-ms", String(OVERLOAD_RETRY_MS));
  }
  return trailers;
}

/** Nothing is done with it but to log it, for whoever looks why. */
const LONGEST_SIGNER = 253;
const END = "-----END CERTIFICATE-----\n";

const CERTIFICATE_SERVICE: ServiceDefinition = {
  createCertificate: unaryOfBytes("/istio.v1.auth.IstioCertificateService/CreateCertificate"),
};
