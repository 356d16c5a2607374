import { request as httpRequest, type IncomingMessage } from "node:http";
import { connect as connectHttp2, constants } from "node:http2";
import { request as httpsRequest } from "node:https";
import { connect } from "node:net";
import { messageOf } from "../platform/errors.ts";
import type { Container, HttpGet, Probe } from "./pod.ts";

export interface CheckResult {
  readonly ok: boolean;
  /** Why it failed, for people. */
  readonly message: string;
}

export interface CheckTarget {
  readonly ip: string;
  /** For named ports. */
  readonly container: Container;
  exec(argv: readonly string[], timeoutMs: number): Promise<{ code: number | null; output: string }>;
}

/** Runs one probe once, from where a kubelet would: this process, in the node's network. Never rejects. */
export async function checkProbe(probe: Probe, target: CheckTarget, timeoutMs: number): Promise<CheckResult> {
  try {
    if (probe.httpGet !== undefined) {
      const status = await httpGet(probe.httpGet, target, timeoutMs);
      return { ok: status >= 200 && status < 400, message: `HTTP ${status}` };
    }
    if (probe.tcpSocket !== undefined) {
      await tcpConnect(
        probe.tcpSocket.host ?? target.ip,
        portNumber(probe.tcpSocket.port, target.container),
        timeoutMs,
      );
      return { ok: true, message: "" };
    }
    if (probe.grpc !== undefined) {
      const status = await grpcHealth(`${target.ip}:${probe.grpc.port}`, probe.grpc.service ?? "", timeoutMs);
      return { ok: status === SERVING, message: `gRPC health status ${status}` };
    }
    if (probe.exec !== undefined) {
      const { code, output } = await target.exec(probe.exec.command ?? [], timeoutMs);
      return { ok: code === 0, message: output === "" ? `exit code ${code}` : output };
    }
    return { ok: true, message: "no handler" };
  } catch (thrown) {
    return { ok: false, message: messageOf(thrown) };
  }
}

/** The status of a GET; a certificate is not checked, a redirect not followed (kubelets count it as success). */
export function httpGet(
  get: HttpGet,
  target: Pick<CheckTarget, "ip" | "container">,
  timeoutMs: number,
): Promise<number> {
  const headers: Record<string, string> = { "user-agent": "kube-probe/1.34", accept: "*/*", connection: "close" };
  for (const { name, value } of get.httpHeaders ?? []) headers[name.toLowerCase()] = value;
  const options = {
    host: get.host ?? target.ip,
    port: portNumber(get.port, target.container),
    path: get.path === undefined || get.path === "" ? "/" : get.path.startsWith("/") ? get.path : `/${get.path}`,
    headers,
    agent: false,
    signal: AbortSignal.timeout(timeoutMs),
  };
  return new Promise((resolve, reject) => {
    const answer = (response: IncomingMessage) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    };
    const request =
      get.scheme?.toUpperCase() === "HTTPS"
        ? httpsRequest({ ...options, rejectUnauthorized: false }, answer)
        : httpRequest(options, answer);
    request.on("error", (error) =>
      reject(error.name === "AbortError" ? new Error(`no answer in ${timeoutMs} ms`) : error),
    );
    request.end();
  });
}

function tcpConnect(host: string, port: number, timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout: timeoutMs });
    const settle = (error?: Error) => {
      socket.destroy();
      if (error === undefined) resolve();
      else reject(error);
    };
    socket.once("connect", () => settle());
    socket.once("timeout", () => settle(new Error(`no connection in ${timeoutMs} ms`)));
    socket.once("error", settle);
  });
}

const SERVING = 1;

/**
 * `grpc.health.v1.Health/Check` over plain HTTP/2. One field out, one enum back: written by hand, as a probe needs no
 * client of its own.
 */
function grpcHealth(authority: string, service: string, timeoutMs: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(`http://${authority}`);
    const timer = setTimeout(() => fail(new Error(`no answer in ${timeoutMs} ms`)), timeoutMs);
    const finish = () => {
      clearTimeout(timer);
      session.destroy();
    };
    const fail = (error: Error) => {
      finish();
      reject(error);
    };
    session.on("error", fail);
    const stream = session.request({
      [constants.HTTP2_HEADER_METHOD]: "POST",
      [constants.HTTP2_HEADER_PATH]: "/grpc.health.v1.Health/Check",
      [constants.HTTP2_HEADER_CONTENT_TYPE]: "application/grpc",
      te: "trailers",
    });
    stream.on("error", fail);
    let grpcStatus: unknown;
    let body = Buffer.alloc(0);
    stream.on("response", (headers) => {
      grpcStatus = headers["grpc-status"];
    });
    stream.on("trailers", (trailers) => {
      grpcStatus = trailers["grpc-status"];
    });
    stream.on("data", (chunk: Buffer) => {
      body = Buffer.concat([body, chunk]).subarray(0, 64);
    });
    stream.on("end", () => {
      if (grpcStatus !== undefined && grpcStatus !== "0") return fail(new Error(`gRPC status ${String(grpcStatus)}`));
      finish();
      resolve(body[5] === 0x08 ? (body[6] ?? 0) : 0);
    });
    const name = Buffer.from(service).subarray(0, 127);
    const message = name.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x0a, name.length]), name]);
    stream.end(Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message]));
  });
}

function portNumber(port: number | string, container: Container): number {
  if (typeof port === "number") return port;
  const named = container.ports?.find((candidate) => candidate.name === port)?.containerPort;
  if (named !== undefined) return named;
  if (/^\d+$/.test(port)) return Number(port);
  throw new Error(`container ${container.name} has no port named ${port}`);
}
