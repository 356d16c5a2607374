import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { createManualClock } from "../../test/support/manual-clock.ts";
import { temporaryPath } from "../../test/support/state.ts";
import { TrysailError } from "../platform/errors.ts";
import { openKubeconfig } from "./kubeconfig.ts";
import { parseKubeconfig } from "./parse-kubeconfig.ts";

interface Parts {
  readonly server?: string;
  readonly cluster?: object;
  readonly user?: object;
  readonly current?: string;
}

function textOf({ server = "https://127.0.0.1:1", cluster = {}, user = {}, current = "x" }: Parts): string {
  return JSON.stringify({
    clusters: [{ name: "c", cluster: { server, ...cluster } }],
    users: [{ name: "u", user: { "client-key-data": "c2VjcmV0", ...user } }],
    contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
    "current-context": current,
  });
}

async function opened(t: TestContext, parts: Parts, files: Readonly<Record<string, string>> = {}) {
  const folder = await temporaryPath(t, "kube");
  await mkdir(folder);
  const path = join(folder, "config");
  await writeFile(path, textOf(parts));
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  const clock = createManualClock(0);
  const connection = await openKubeconfig(path, clock);
  t.after(() => connection.close());
  const authorization = async (refresh = false) => (await connection.credentials({ refresh })).headers.authorization;
  return { folder, path, clock, connection, authorization };
}

const refusals: readonly [title: string, text: string, message: RegExp][] = [
  ["no YAML", "{ token: secret", /is not a kubeconfig/],
  ["no object", "secret", /is not a kubeconfig/],
  ["a field of another type", textOf({ user: { token: ["secret"] } }), /is not a kubeconfig/],
  ["no current context", textOf({ current: "y" }), /no current-context/],
  ["no verification", textOf({ cluster: { "insecure-skip-tls-verify": true } }), /insecure-skip-tls-verify/],
  ["no TLS", textOf({ server: "http://127.0.0.1:1" }), /must be an https:\/\/ address/],
  ["no address", textOf({ server: "127.0.0.1" }), /must be an https:\/\/ address/],
];

for (const [title, text, message] of refusals) {
  test(`a kubeconfig with ${title} is refused, and not quoted`, () => {
    assert.throws(
      () => parseKubeconfig(text, "/k"),
      (thrown) => {
        assert.ok(thrown instanceof TrysailError);
        assert.equal(thrown.code, "invalid-argument");
        assert.match(thrown.message, message);
        assert.doesNotMatch(thrown.message, /secret|c2VjcmV0/);
        return true;
      },
    );
  });
}

test("whatever a kubeconfig says, it is read or refused", () => {
  const values = fc.oneof(fc.jsonValue(), fc.constantFrom("c", "u", "x", "https://a"));
  const names = fc.constantFrom("clusters", "users", "contexts", "current-context", "name", "cluster", "__proto__");
  fc.assert(
    fc.property(fc.dictionary(names, fc.oneof(values, fc.array(fc.dictionary(names, values)))), (value) => {
      try {
        assert.ok(parseKubeconfig(JSON.stringify(value), "/k").server.startsWith("https://"));
      } catch (thrown) {
        assert.ok(thrown instanceof TrysailError, String(thrown));
      }
    }),
  );
});

test("a file that is not there is named", async () => {
  await assert.rejects(openKubeconfig("/no/such/file", createManualClock(0)), {
    code: "invalid-argument",
    message: /kubeconfig \/no\/such\/file cannot be read: ENOENT/,
  });
});

test("a token of its own is shown, and the connection keeps its agent", async (t) => {
  const { authorization, connection } = await opened(t, { user: { token: "one" } });
  assert.equal(await authorization(), "Bearer one");
  const [a, b] = [await connection.credentials({ refresh: false }), await connection.credentials({ refresh: true })];
  assert.equal(a.agent, b.agent);
});

test("a token in a file is read again every minute, and where it is refused", async (t) => {
  const { folder, clock, authorization } = await opened(t, { user: { tokenFile: "token" } }, { token: "one\n" });
  assert.equal(await authorization(), "Bearer one");
  await writeFile(join(folder, "token"), "two");
  assert.equal(await authorization(), "Bearer one");
  assert.equal(await authorization(true), "Bearer two");
  await writeFile(join(folder, "token"), "three");
  clock.advance(60_000);
  assert.equal(await authorization(), "Bearer three");
});

test("where the API server refuses it, the kubeconfig itself is read again", async (t) => {
  const { path, authorization } = await opened(t, { user: { token: "one" } });
  await writeFile(path, textOf({ user: { token: "two" } }));
  assert.deepEqual([await authorization(), await authorization(true)], ["Bearer one", "Bearer two"]);
});

test("another root makes connections of its own", async (t) => {
  const parts = { cluster: { "certificate-authority": "root" } };
  const { folder, connection } = await opened(t, parts, { root: "one" });
  const before = await connection.credentials({ refresh: false });
  await writeFile(join(folder, "root"), "two");
  const after = await connection.credentials({ refresh: true });
  assert.notEqual(after.agent, before.agent);
});

test("an exec plugin is asked for the token", async (t) => {
  const credential = {
    apiVersion: "client.authentication.k8s.io/v1",
    kind: "ExecCredential",
    status: { token: "from a plugin" },
  };
  const exec = { apiVersion: credential.apiVersion, command: "echo", args: [JSON.stringify(credential)] };
  const { authorization } = await opened(t, { user: { exec } });
  assert.equal(await authorization(), "Bearer from a plugin");
});

test("a plugin that fails is named as the reason", async (t) => {
  const exec = { apiVersion: "client.authentication.k8s.io/v1", command: "/no/such/plugin" };
  const { authorization } = await opened(t, { user: { exec } });
  await assert.rejects(authorization(), { code: "unauthenticated", message: /gives no credentials: .*ENOENT/ });
});

test("a name and a password are sent as basic authentication", async (t) => {
  const { authorization } = await opened(t, { user: { username: "me", password: "secret" } });
  assert.equal(await authorization(), `Basic ${Buffer.from("me:secret").toString("base64")}`);
});
