import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { temporaryAuthority } from "../../test/support/authority.ts";
import { temporaryPath } from "../../test/support/state.ts";
import { until } from "../../test/support/until.ts";
import { systemClock } from "../platform/clock.ts";

const program = fileURLToPath(new URL("./trysail.ts", import.meta.url));

test("a control plane that waits for the API server ends in order when it is told to", async (t) => {
  // Never answers, and is nobody else's while the test runs.
  const server = createServer();
  server.listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const { rootCertificatePem } = await temporaryAuthority(t, systemClock);
  const kubeconfig = await temporaryPath(t, "kubeconfig");
  const cluster = {
    server: `https://127.0.0.1:${address.port}`,
    "certificate-authority-data": Buffer.from(rootCertificatePem).toString("base64"),
  };
  await writeFile(
    kubeconfig,
    JSON.stringify({
      ...{ apiVersion: "v1", kind: "Config", "current-context": "test" },
      clusters: [{ name: "test", cluster }],
      users: [{ name: "test", user: { token: "token" } }],
      contexts: [{ name: "test", context: { cluster: "test", user: "test" } }],
    }),
  );
  const connected = once(server, "connection");
  const flags = ["grpc", "https", "monitoring", "http"].map((name) => `--${name}-addr=127.0.0.1:0`);
  const child = spawn(
    process.execPath,
    [program, "serve", `--kubeconfig=${kubeconfig}`, `--state-dir=${join(kubeconfig, "..", "state")}`, ...flags],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  t.after(() => child.kill("SIGKILL"));
  let said = "";
  child.stderr.on("data", (data: Buffer) => {
    said += data.toString();
  });
  await connected;
  child.kill("SIGTERM");
  await until("its end", () => child.exitCode !== null || child.signalCode !== null, { timeoutMs: 60_000 });
  assert.deepEqual([child.exitCode, child.signalCode], [0, null], said);
  assert.match(said, /"signal":"SIGTERM","msg":"stopping"/);
});
