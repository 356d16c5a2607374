import type { FastifyInstance } from "fastify";

/** Lets what is not there be answered in the shape of every other refusal, which does not repeat what was asked for. */
export function answerNotFound(app: FastifyInstance): void {
  app.setNotFoundHandler((_request, reply) => reply.code(404).send({ error: "not found" }));
}
