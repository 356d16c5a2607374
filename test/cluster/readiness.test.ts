import assert from "node:assert/strict";
import { test } from "node:test";
import { requiredAccess } from "../../src/control-plane/required-access.ts";
import { testControlPlane } from "../support/control-plane.ts";
import { freePort } from "../support/free-port.ts";
import { until } from "../support/until.ts";
import { findKubernetes } from "./programs.ts";
import { accountKubeconfig, podClient } from "./service-account.ts";
import { startKubernetes } from "./start-kubernetes.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : false;

test("a control plane that is not ready answers 503 with what it waits for", { skip, timeout: 180_000 }, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, { ...found.programs, controllerManager: null });
  const { cluster, own } = requiredAccess("default");
  const all = [...cluster, ...own];
  const without = (...names: string[]) =>
    all
      .map((rule) => ({ ...rule, resources: rule.resources.filter((name) => !names.includes(name)) }))
      .filter(({ resources }) => resources.length > 0);
  const account = await podClient(t, kubernetes, { name: "trysail", rules: without("pods", "tokenreviews") });
  const path = await accountKubeconfig(t, kubernetes, "trysail");
  await kubernetes.stopApiServer();
  const http = { host: "127.0.0.1", port: await freePort() };
  const authenticators = [{ kind: "token-review" }] as const;
  const starting = testControlPlane(t, {}, { source: { kind: "kubeconfig", path }, http, authenticators });
  const ask = async (page = "ready") => {
    const answer = await fetch(`http://127.0.0.1:${http.port}/${page}`);
    const body: { readonly reason?: string | null } = JSON.parse(await answer.text());
    return { status: answer.status, body };
  };
  const answers = (status: number, reason: RegExp | null) =>
    until(
      `/ready to answer ${status} ${reason}`,
      async () => {
        const { status: now, body } = await ask();
        if (now !== status || !(reason?.test(body.reason ?? "") ?? body.reason === null))
          throw new Error(JSON.stringify(body));
        return true;
      },
      // What may not be read is looked for every 10 s.
      { timeoutMs: 60_000, everyMs: 20 },
    );

  await t.test("the API server", async () => {
    await answers(503, /^it waits for Kubernetes' API server$/);
    assert.equal((await ask("debug/syncz")).status, 503);
    assert.equal((await ask("live")).status, 200);
  });

  await t.test("the right to ask whose a proxy's token is", async () => {
    await kubernetes.startApiServer();
    await answers(503, /^the control plane may not create tokenreviews: grant it the verb in its ClusterRole$/);
  });

  await t.test("a kind that it may not read, by its name", async () => {
    await account.setRules(without("pods"));
    await answers(503, /^it reads Kubernetes: .*\bPod \(forbidden\)/);
  });

  await t.test("nothing, once it may", async () => {
    await account.setRules(all);
    await answers(200, null);
    assert.equal((await starting).ports.http, http.port);
    assert.equal((await ask("debug/syncz")).status, 401);
    assert.equal((await ask("live")).status, 200);
  });
});
