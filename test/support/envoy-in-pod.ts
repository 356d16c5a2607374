import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import { envoyPath } from "./envoy.ts";
import type { TestHost } from "./netns.ts";
import { until } from "./until.ts";

export interface EnvoyInPod {
  /** Body of a page of the admin interface. */
  admin(path: string): Promise<string>;
}

export interface EnvoyInPodOptions {
  readonly asRoot?: boolean;
  /** How it is to run, beside its configuration. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * A real Envoy on a host of a test network, with the sidecar's group; as root where it needs root's rights. Its admin
 * interface is on loopback port 15000 of that host. Resolves once it is live.
 */
export async function startEnvoyInPod(
  t: TestContext,
  host: TestHost,
  bootstrap: JsonObject,
  { asRoot = false, args = ["--concurrency", "2", "--log-level", "warning"], env }: EnvoyInPodOptions = {},
): Promise<EnvoyInPod> {
  const folder = mkdtempSync(join(tmpdir(), "trysail-envoy-in-pod-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  chmodSync(folder, 0o755);
  const file = join(folder, "envoy.json");
  const admin = { address: { socketAddress: { address: "127.0.0.1", portValue: 15000 } } };
  writeFileSync(file, JSON.stringify({ ...bootstrap, admin }), { mode: 0o644 });
  const child = host.start(envoyPath(), ["-c", file, "--use-dynamic-base-id", ...args], {
    uid: asRoot ? 0 : 1337,
    gid: 1337,
    ...(env === undefined ? {} : { env }),
  });
  let log = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => {
      log += text;
    });
  }
  const page = (path: string) => host.run("curl", ["-sf", `http://127.0.0.1:15000${path}`]);
  const isLive = async () => (await page("/ready").catch(() => "")) === "LIVE\n";
  await until("Envoy to be live", isLive).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${log}`);
  });
  return { admin: page };
}
