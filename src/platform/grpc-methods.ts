import type { MethodDefinition } from "@grpc/grpc-js";

type BytesMethod = MethodDefinition<Buffer, Buffer>;

const asIs = (bytes: Buffer): Buffer => bytes;
const BYTES = { requestSerialize: asIs, requestDeserialize: asIs, responseSerialize: asIs, responseDeserialize: asIs };

/**
 * A method whose messages are bytes to gRPC, so that its service decodes what it takes under its own limits, and sends
 * what it has encoded before. The path is `/package.Service/Method`.
 */
export function unaryOfBytes(path: string): BytesMethod {
  return { path, requestStream: false, responseStream: false, ...BYTES };
}

/** The same with a stream of messages both ways. */
export function streamOfBytes(path: string): BytesMethod {
  return { path, requestStream: true, responseStream: true, ...BYTES };
}
