import type { FastifyRequest } from "fastify";

/** The media type of a request's body, without parameters and in small letters; empty where it names none. */
export function mediaTypeOf({ headers }: Pick<FastifyRequest, "headers">): string {
  return headers["content-type"]?.split(";", 1)[0]?.trim().toLowerCase() ?? "";
}
