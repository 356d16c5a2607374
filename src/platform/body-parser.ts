import type { IncomingMessage } from "node:http";
import { errorCodes, type FastifyInstance, type FastifyRequest } from "fastify";

type Done = (error: Error | null, body?: Buffer) => void;

/** For Fastify, which answers it as a bad request: whoever breaks a body off does no more than that, and may do so often. */
class BrokenOffError extends Error {
  readonly statusCode = 400;

  constructor(cause: Error) {
    super("the body was broken off", { cause });
  }
}

/** Parts are put together by so many. */
const PARTS_AT_ONCE = 64;

/** Reads bodies of that content type by `bodyParser`, and has whoever sends too much hear so. */
export function addBodyParser(app: FastifyInstance, contentType: string, limitBytes: number): void {
  app.addContentTypeParser(contentType, bodyParser(limitBytes));
  // Fastify would close the connection, and the reset for what is still being sent often overtakes the answer (RFC 9112,
  // 9.6). Where it stays open, Node throws the rest away as it comes, for as long as a request may take.
  app.addHook("onSend", (_request, reply, payload, done) => {
    if (reply.statusCode === 413) reply.removeHeader("connection");
    done(null, payload);
  });
}

/**
 * Reads bodies of at most `limitBytes` for Fastify's `addContentTypeParser`. Its own parser keeps every part as it came until
 * the last one is there, so that a body that is sent byte by byte takes a hundred times its size; here it takes little more
 * than its size.
 */
export function bodyParser(limitBytes: number) {
  return ({ headers }: FastifyRequest, payload: IncomingMessage, done: Done) => {
    const packed: Buffer[] = [];
    let parts: Buffer[] = [];
    let size = 0;
    const end: Done = (error, body) => {
      payload.off("data", add).off("end", whole).off("error", brokenOff);
      done(error, body);
    };
    const brokenOff = (cause: Error) => end(new BrokenOffError(cause));
    const tooLarge = () => end(new errorCodes.FST_ERR_CTP_BODY_TOO_LARGE());
    const whole = () => end(null, Buffer.concat([...packed, ...parts], size));
    const add = (part: Buffer) => {
      size += part.length;
      if (size > limitBytes) return tooLarge();
      if (parts.push(part) < PARTS_AT_ONCE) return;
      packed.push(Buffer.concat(parts));
      parts = [];
    };
    if (Number(headers["content-length"]) > limitBytes) return tooLarge();
    payload.on("data", add).on("end", whole).on("error", brokenOff).resume();
  };
}
