import { readFileSync } from "node:fs";
import type { TestContext } from "node:test";
import { create, fromBinary, type JsonObject, toBinary } from "@bufbuild/protobuf";
import { Client, type ClientDuplexStream, credentials, Metadata, type StatusObject } from "@grpc/grpc-js";
import {
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
} from "../../src/gen/envoy/service/discovery/v3/discovery_pb.ts";
import { TYPE_URL, type TypeUrl } from "../../src/xds/resource-set.ts";

const METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";

export interface AdsNode {
  readonly id: string;
  readonly metadata?: JsonObject;
}

/** One delta ADS stream with bytes under the caller's control. */
export interface AdsClient {
  subscribe(node: AdsNode | null, typeUrl: TypeUrl, names?: string[]): void;
  acknowledge(response: Pick<DeltaDiscoveryResponse, "typeUrl" | "nonce">): void;
  sendBytes(bytes: Uint8Array): void;
  /** The next response; rejects where the stream ends first. */
  response(): Promise<DeltaDiscoveryResponse>;
  /** How the server ended the stream. */
  readonly ended: Promise<StatusObject>;
}

/** Opens a stream over TLS, verified with the mesh's root. */
export function openAds(
  t: TestContext,
  target: { port: number; rootPath: string },
  token: string | undefined,
): AdsClient {
  const client = new Client(`localhost:${target.port}`, credentials.createSsl(readFileSync(target.rootPath)), {
    "grpc.max_receive_message_length": -1,
  });
  t.after(() => client.close());
  const metadata = new Metadata();
  if (token !== undefined) metadata.set("authorization", `Bearer ${token}`);
  const bytes = (buffer: Buffer) => buffer;
  const stream: ClientDuplexStream<Buffer, Buffer> = client.makeBidiStreamRequest(METHOD, bytes, bytes, metadata);
  t.after(() => stream.cancel());
  const arrived: DeltaDiscoveryResponse[] = [];
  const waiting: ((response: DeltaDiscoveryResponse) => void)[] = [];
  stream.on("data", (data: Buffer) => {
    const response = fromBinary(DeltaDiscoveryResponseSchema, data);
    const waiter = waiting.shift();
    if (waiter === undefined) arrived.push(response);
    else waiter(response);
  });
  stream.on("error", () => {
    // `status` tells the same.
  });
  const ended = new Promise<StatusObject>((resolve) => stream.on("status", resolve));
  return {
    ended,
    sendBytes: (data) => stream.write(Buffer.from(data)),
    subscribe(node, typeUrl, names = []) {
      const request = create(DeltaDiscoveryRequestSchema, {
        ...(node === null ? {} : { node: { id: node.id, metadata: node.metadata ?? {} } }),
        typeUrl,
        resourceNamesSubscribe: names,
      });
      stream.write(Buffer.from(toBinary(DeltaDiscoveryRequestSchema, request)));
    },
    acknowledge({ typeUrl, nonce: responseNonce }) {
      stream.write(
        Buffer.from(
          toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, { typeUrl, responseNonce })),
        ),
      );
    },
    response() {
      const next = arrived.shift();
      if (next !== undefined) return Promise.resolve(next);
      const failed = ended.then(({ code, details }) => {
        throw new Error(`the stream ended with ${code}: ${details}`);
      });
      return Promise.race([new Promise<DeltaDiscoveryResponse>((resolve) => waiting.push(resolve)), failed]);
    },
  };
}

/** A sidecar's node as Envoy sends it. */
export function sidecarNode(name: string, namespace: string, serviceAccount = "default"): AdsNode {
  return {
    id: `sidecar~10.1.2.3~${name}.${namespace}~${namespace}.svc.cluster.local`,
    metadata: { NAMESPACE: namespace, SERVICE_ACCOUNT: serviceAccount },
  };
}

export { TYPE_URL };
