import type { FastifyPluginAsync, FastifyRequest } from "fastify";
import Type, { type Static } from "typebox";
import { Compile } from "typebox/compile";
import type { Authority } from "../ca/authority/authority.ts";
import { type AuthorityStatus, slotStatuses } from "../ca/authority/authority-status.ts";
import type { Rotator } from "../ca/authority/rotator.ts";
import { type Authenticate, bearerToken } from "../ca/caller/authenticate.ts";
import { TrysailError } from "../platform/errors.ts";
import { httpStatusOf } from "../platform/http-status.ts";
import type { Logger } from "../platform/log.ts";
import { unknownParameter } from "../platform/unknown-parameter.ts";

export interface AuthorityRoutesDeps {
  /** Null where a signer elsewhere is asked, which is not turned from here. */
  readonly own: {
    readonly authority: Pick<Authority, "state">;
    readonly rotator: Omit<Rotator, "start" | "stop">;
  } | null;
  readonly authenticate: Authenticate;
  /** Whose workloads may look and rotate. */
  readonly adminNamespace: string;
  readonly log: Logger;
}

const Command = Type.Object(
  { force: Type.Optional(Type.Boolean()), id: Type.Optional(Type.String({ maxLength: 64 })) },
  { additionalProperties: false },
);
const validator = Compile(Command);

/** `GET /ca`, and `POST /ca/prepare`, `/ca/activate`, `/ca/retire`: what `trysail ca` asks for. */
export function authorityRoutes(deps: AuthorityRoutesDeps): FastifyPluginAsync {
  const own = () => {
    if (deps.own !== null) return deps.own;
    throw new TrysailError("failed-precondition", "the mesh's authority is its --ca-signer: rotate it there");
  };
  const status = (): AuthorityStatus => {
    const { authority, rotator } = own();
    return {
      slots: slotStatuses(authority.state()),
      facts: rotator.facts(),
      next: rotator.next(),
      sourceProblem: rotator.sourceProblem(),
      revocationLists: rotator.revocationLists(),
    };
  };
  const commands: Readonly<Record<string, (options: Static<typeof Command>) => Promise<void>>> = {
    prepare: () => own().rotator.prepare(),
    activate: ({ force = false }) => own().rotator.activate({ force }),
    retire: ({ force = false, id }) => own().rotator.retire({ force, id }),
  };

  return async (app) => {
    app.setErrorHandler((error, _request, reply) => {
      if (!(error instanceof TrysailError) && error instanceof Error && "statusCode" in error) {
        // What Fastify itself refuses, such as a body that is no JSON.
        return reply.code(Number(error.statusCode)).send({ error: error.message });
      }
      const { status: code, message } = httpStatusOf(error);
      if (code === 500) deps.log.error({ err: error }, "a command for the authority failed");
      return reply.code(code).send({ error: message });
    });
    app.addHook("onRequest", async (request) => {
      await assertAdmin(deps, request);
      const name = unknownParameter(request, []);
      if (name === undefined) return;
      const taken = request.method === "POST" ? "the body is {force?, id?}" : "it takes none";
      throw new TrysailError("invalid-argument", `the URL may not have the parameter ${name}: ${taken}`);
    });
    app.get("/ca", async () => status());
    for (const [name, run] of Object.entries(commands)) {
      app.post(`/ca/${name}`, async (request) => {
        const options = request.body ?? {};
        if (!validator.Check(options)) throw new TrysailError("invalid-argument", "the body is {force?, id?}");
        deps.log.info({ command: name, ...options }, "an operator turns the authority");
        await run(options);
        return status();
      });
    }
  };
}

async function assertAdmin(deps: AuthorityRoutesDeps, request: FastifyRequest): Promise<void> {
  const identity = await deps.authenticate({ token: bearerToken(request.headers.authorization) });
  if (identity.namespace !== deps.adminNamespace) {
    throw new TrysailError("permission-denied", `only workloads of ${deps.adminNamespace} may see the authority`);
  }
}
