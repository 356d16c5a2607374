/**
 * The least that a certificate by gRPC can cost in Node: TLS, a call, one signature checked, one made, and an answer as
 * long as Trysail's. A process of its own; `startBareServer` is for its parent.
 */
import { fork } from "node:child_process";
import { generateKeyPairSync, sign, verify } from "node:crypto";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from "@grpc/grpc-js";
import { certificatePem, nameOf, signCertificate } from "../src/ca/x509/certificate.ts";
import { hostName, subjectAlternativeNames } from "../src/ca/x509/extensions.ts";
import { processCpuMs } from "./process-cpu.ts";

export interface BareServer {
  readonly port: number;
  /** What its certificate is checked against. */
  readonly rootCertFile: string;
  /** Processor time of all its threads since its start. */
  cpuMs(): number;
  stop(): Promise<void>;
}

export async function startBareServer(scratch: string): Promise<BareServer> {
  const rootCertFile = join(scratch, "bare-server.pem");
  const child = fork(fileURLToPath(import.meta.url), [rootCertFile]);
  const [port] = await once(child, "message");
  return {
    port: Number(port),
    rootCertFile,
    cpuMs: () => processCpuMs(child.pid),
    async stop() {
      const ended = once(child, "exit");
      child.kill();
      await ended;
    },
  };
}

type Call = ServerUnaryCall<Buffer, Buffer>;

/** About what a leaf and a root have. */
const TO_BE_SIGNED = Buffer.alloc(480, 1);
const CHAIN = Buffer.alloc(1700, 0x41);
const DAY_MS = 86_400_000;

async function serve(rootCertFile: string): Promise<void> {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const proof = sign("sha256", TO_BE_SIGNED, privateKey);
  const certificate = certificatePem(
    signCertificate(
      {
        serialNumber: Buffer.from([1]),
        issuer: nameOf({ commonName: "bare server" }),
        subject: nameOf({ commonName: "bare server" }),
        notBefore: Date.now() - DAY_MS,
        notAfter: Date.now() + DAY_MS,
        publicKey: publicKey.export({ type: "spki", format: "der" }),
        extensions: [subjectAlternativeNames([hostName("localhost")], { critical: false })],
      },
      privateKey,
    ),
  );
  await writeFile(rootCertFile, certificate);
  const response = Buffer.concat([Buffer.from([0x0a, 0x80 | (CHAIN.length & 0x7f), CHAIN.length >> 7]), CHAIN]);
  const verifySignature = promisify(verify);
  const server = new Server();
  const asIs = (bytes: Buffer): Buffer => bytes;
  const method = {
    path: "/istio.v1.auth.IstioCertificateService/CreateCertificate",
    ...{ requestStream: false, responseStream: false },
    ...{ requestSerialize: asIs, requestDeserialize: asIs, responseSerialize: asIs, responseDeserialize: asIs },
  };
  server.addService(
    { createCertificate: method },
    {
      createCertificate(_call: Call, callback: sendUnaryData<Buffer>) {
        void verifySignature("sha256", TO_BE_SIGNED, publicKey, proof).then(() => {
          sign("sha256", TO_BE_SIGNED, privateKey);
          callback(null, response);
        });
      },
    },
  );
  const pair = {
    private_key: Buffer.from(privateKey.export({ type: "pkcs8", format: "pem" })),
    cert_chain: Buffer.from(certificate),
  };
  const credentials = ServerCredentials.createSsl(null, [pair]);
  server.bindAsync("127.0.0.1:0", credentials, (_error, port) => process.send?.(port));
}

const [, program, rootCertFile] = process.argv;
if (program === fileURLToPath(import.meta.url) && rootCertFile !== undefined) await serve(rootCertFile);
