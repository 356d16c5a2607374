import type { FastifyRequest } from "fastify";
import { Refusal } from "../ca/refusal.ts";
import { unknownParameter } from "../platform/unknown-parameter.ts";

/** Throws a Refusal that names the first parameter of the URL that is not read, and says what is (`it takes ttlSeconds`). */
export function assertParameters(request: FastifyRequest, known: readonly string[], taken: string): void {
  const name = unknownParameter(request, known);
  if (name !== undefined) throw new Refusal("bad-request", `the URL may not have the parameter ${name}: ${taken}`);
}
