import assert from "node:assert/strict";
import { test } from "node:test";
import { withinCpuMs } from "../../test/support/cpu-time.ts";
import { openRemoteKubeconfig } from "./remote-kubeconfig.ts";

const kubeconfig = JSON.stringify({
  clusters: [{ name: "c", cluster: { server: "https://127.0.0.1:6443" } }],
  users: [{ name: "u", user: { token: "t" } }],
  contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
  "current-context": "x",
});

test("a kubeconfig with a token is taken", async () => {
  const connection = openRemoteKubeconfig(kubeconfig, "Secret key");
  assert.deepEqual((await connection.credentials({ refresh: false })).headers, { authorization: "Bearer t" });
  connection.close();
});

test("a text that is no kubeconfig by its length alone is refused before it is read", () => {
  // Of as many keys as a Secret has room for, which to compare with each other takes minutes.
  const keys = Array.from({ length: 60_000 }, (_, at) => `k${at}: v`).join("\n");
  withinCpuMs(500, () =>
    assert.throws(() => openRemoteKubeconfig(keys, "Secret key"), {
      code: "invalid-argument",
      message: "Secret key is longer than 65536 bytes: write a kubeconfig of one cluster and one user",
    }),
  );
});
