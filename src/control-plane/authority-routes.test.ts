import assert from "node:assert/strict";
import { test } from "node:test";
import { fastify } from "fastify";
import { createLog } from "../platform/log.ts";
import { authorityRoutes } from "./authority-routes.ts";

test("a command for the authority whose options stand in the URL is refused and not run without them", async (t) => {
  const app = fastify();
  t.after(() => app.close());
  await app.register(
    authorityRoutes({
      // To get as far as its answer is to have been run.
      own: null,
      authenticate: async ({ token = "" }) => ({ ...ACCOUNT, namespace: token }),
      adminNamespace: "trysail-system",
      log: createLog("silent"),
    }),
  );
  const ask = async (method: "GET" | "POST", url: string, caller = "trysail-system") => {
    const answer = await app.inject({ method, url, headers: { authorization: `Bearer ${caller}` } });
    return [answer.statusCode, answer.json().error];
  };
  const [ran] = await ask("POST", "/ca/retire");
  for (const [method, url, says] of [
    ["POST", "/ca/retire?id=0123", "id: the body is {force?, id?}"],
    ["POST", "/ca/activate?force=true", "force: the body is {force?, id?}"],
    ["GET", "/ca?output=json", "output: it takes none"],
  ] as const) {
    const [status, error] = await ask(method, url);
    assert.notEqual(status, ran);
    assert.deepEqual([status, error], [400, `the URL may not have the parameter ${says}`]);
  }
  const [status] = await ask("POST", "/ca/retire?id=0123", "shop");
  assert.equal(status, 403, "a stranger is told nothing of what is taken");
});

const ACCOUNT = { trustDomain: "cluster.local", serviceAccount: "trysail" };
