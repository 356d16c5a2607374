import assert from "node:assert/strict";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { createManualClock } from "../../test/support/manual-clock.ts";
import { temporaryPath } from "../../test/support/state.ts";
import { createInClusterConnection } from "./in-cluster.ts";

async function mounted(t: TestContext, host = "10.0.0.1") {
  const accountFolder = await temporaryPath(t, "account");
  await mkdir(accountFolder);
  const write = (name: string, text: string) => writeFile(join(accountFolder, name), text);
  await write("token", "one\n");
  await write("ca.crt", "root one");
  const clock = createManualClock(0);
  const connection = createInClusterConnection({ host, port: "443", clock, accountFolder });
  t.after(() => connection.close());
  return { accountFolder, write, clock, connection };
}

test("the token is read again every minute, and at once where it is refused", async (t) => {
  const { write, clock, connection } = await mounted(t);
  const authorization = async (refresh: boolean) => (await connection.credentials({ refresh })).headers.authorization;
  assert.equal(await authorization(false), "Bearer one");
  await write("token", "two");
  assert.equal(await authorization(false), "Bearer one");
  clock.advance(60_000);
  assert.equal(await authorization(false), "Bearer two");
  await write("token", "three");
  assert.equal(await authorization(true), "Bearer three");
});

test("connections are kept for as long as the root is the same", async (t) => {
  const { write, connection } = await mounted(t);
  const first = await connection.credentials({ refresh: false });
  await write("token", "two");
  const second = await connection.credentials({ refresh: true });
  await write("ca.crt", "root two");
  const third = await connection.credentials({ refresh: true });
  assert.deepEqual([second.agent === first.agent, third.agent === first.agent], [true, false]);
});

test("a pod without a service account's token is told so", async (t) => {
  const { accountFolder, connection } = await mounted(t);
  await rm(join(accountFolder, "token"));
  await assert.rejects(connection.credentials({ refresh: false }), {
    code: "unauthenticated",
    message: /service account's token cannot be read from .*\/token: ENOENT/,
  });
});

test("an IPv6 address of the API server is put in brackets", async (t) => {
  const { connection } = await mounted(t, "fd00::1");
  assert.equal(connection.server, "https://[fd00::1]:443");
});
