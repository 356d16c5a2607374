/**
 * An option of every Fastify server: routes here have no JSON schemas, since they check what comes in themselves. Without
 * it Fastify loads a compiler for such schemas all the same, which is 3 MB that nobody uses.
 */
export const NO_SCHEMAS = Object.freeze({
  compilersFactory: { buildValidator: () => refuse, buildSerializer: () => refuse },
});

function refuse(): never {
  throw new Error("a route has a JSON schema, and nothing is there to compile it");
}
