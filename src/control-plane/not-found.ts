import type { FastifyInstance, FastifyReply } from "fastify";

const NOT_FOUND = { error: "not found" };

/** Fastify's option for paths that it cannot look up, such as `/%zz`: there is nothing there either. */
export const UNREADABLE_PATHS = {
  frameworkErrors: (_error: unknown, _request: unknown, reply: Pick<FastifyReply, "code">) =>
    void reply.code(404).send(NOT_FOUND),
};

/** Lets what is not there be answered in the shape of every other refusal, which does not repeat what was asked for. */
export function answerNotFound(app: FastifyInstance): void {
  app.setNotFoundHandler((_request, reply) => reply.code(404).send(NOT_FOUND));
}
