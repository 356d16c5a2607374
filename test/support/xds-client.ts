import type { TestContext } from "node:test";
import { Client, type ClientDuplexStream, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { until } from "./until.ts";
import { deltaRequestBytes, type SeenResponse, seenDelta, seenSotw, sotwRequestBytes } from "./xds-messages.ts";

export const NODE = {
  id: "sidecar~10.0.0.1~cart-1.shop~shop.svc.cluster.local",
  metadata: { NAMESPACE: "shop", SERVICE_ACCOUNT: "cart" },
};

export interface ClientOptions {
  readonly port: number;
  /** Trusts this root and uses TLS. */
  readonly rootPem?: string;
  readonly token?: string;
}

/** How a stream ended: the status code, and what it says. */
export interface StreamEnd {
  readonly code: number;
  readonly details: string;
}

/** One stream of an ordinary gRPC client, speaking bytes. */
export class AdsClientStream {
  readonly responses: SeenResponse[] = [];
  readonly call: ClientDuplexStream<Buffer, Buffer>;
  #taken = 0;
  #end: StreamEnd | null = null;

  constructor(call: ClientDuplexStream<Buffer, Buffer>, seen: (bytes: Uint8Array) => SeenResponse) {
    this.call = call;
    call.on("data", (bytes: Buffer) => this.responses.push(seen(bytes)));
    call.on("error", (error: ServiceError) => {
      this.#end ??= { code: error.code, details: error.details };
    });
    call.on("status", ({ code, details }: StreamEnd) => {
      this.#end ??= { code, details };
    });
  }

  /** The next response that was not taken yet. */
  next(): Promise<SeenResponse> {
    return until("a response", () => {
      if (this.#end) throw new Error(`stream ended: ${JSON.stringify(this.#end)}`);
      const response = this.responses[this.#taken];
      if (response) this.#taken++;
      return response;
    });
  }

  ended(): Promise<StreamEnd> {
    return until("the stream's end", () => this.#end);
  }

  get open(): boolean {
    return this.#end === null;
  }
}

export class AdsClient {
  readonly #client: Client;
  readonly #options: ClientOptions;

  constructor(t: TestContext, options: ClientOptions) {
    const secure = options.rootPem ? credentials.createSsl(Buffer.from(options.rootPem)) : credentials.createInsecure();
    // Connections of one client are its own, as those of different proxies are.
    const channel = {
      "grpc.use_local_subchannel_pool": 1,
      "grpc.ssl_target_name_override": "localhost",
      "grpc.max_receive_message_length": -1,
      "grpc.max_send_message_length": -1,
      "grpc-node.flow_control_window": 65_535,
    };
    this.#client = new Client(`127.0.0.1:${options.port}`, secure, channel);
    this.#options = options;
    t.after(() => this.close());
  }

  sotw(): AdsClientStream {
    return this.#open("discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources", seenSotw);
  }

  secrets(): AdsClientStream {
    return this.#open("secret.v3.SecretDiscoveryService/StreamSecrets", seenSotw);
  }

  delta(): AdsClientStream {
    return this.#open("discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources", seenDelta);
  }

  close(): void {
    this.#client.close();
  }

  #open(method: string, seen: (bytes: Uint8Array) => SeenResponse): AdsClientStream {
    const metadata = new Metadata();
    if (this.#options.token) metadata.set("authorization", `Bearer ${this.#options.token}`);
    const asIs = (bytes: Buffer) => bytes;
    const path = `/envoy.service.${method}`;
    return new AdsClientStream(this.#client.makeBidiStreamRequest(path, asIs, asIs, metadata), seen);
  }
}

export function sendSotw(stream: AdsClientStream, request: Parameters<typeof sotwRequestBytes>[0]): void {
  stream.call.write(sotwRequestBytes(request));
}

export function sendDelta(stream: AdsClientStream, request: Parameters<typeof deltaRequestBytes>[0]): void {
  stream.call.write(deltaRequestBytes(request));
}
