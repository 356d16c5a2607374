import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { systemClock } from "../../src/platform/clock.ts";
import { temporaryAuthority } from "../support/authority.ts";
import { callHttp, identityOf } from "../support/caller.ts";
import { envoyMissing } from "../support/envoy.ts";
import { pod, service } from "../support/manifests.ts";
import { meshOf } from "../support/mesh.ts";
import { startSidecars } from "../support/sidecars.ts";
import { startUpstream } from "../support/upstream.ts";

const PAGE = new URL("../../docs/ca-authority.md", import.meta.url);

test("the policy by which docs/ca-authority.md revokes an identity has a real Envoy refuse it, and nobody else", {
  skip: envoyMissing(),
}, async (t) => {
  const [, indented = ""] =
    /\n\n((?: {4}.*\n)*? {6}name: revoked\n(?: {4}.*\n)+)/.exec(await readFile(PAGE, "utf8")) ?? [];
  const policy = `---\n${indented.replaceAll(/^ {4}/gm, "")}`;
  assert.match(policy, /principals: \[cluster\.local\/ns\/shop\/sa\/cart\]/);
  const app = await startUpstream(t, "app");
  const workload =
    pod({ name: "server", ip: "127.0.0.1", labels: { app: "server" } }) +
    service({ name: "server", ports: { http: { port: 80, targetPort: app.port } } });
  const authority = await temporaryAuthority(t, systemClock);
  const identity = (serviceAccount: string) => identityOf(authority, { namespace: "shop", serviceAccount });
  const running = await startSidecars(t, await identity("server"), {
    before: { mesh: meshOf(workload), pod: "server.shop" },
    behind: { mesh: meshOf(workload + policy), pod: "server.shop" },
  });
  const statusFor = async (serviceAccount: string, sidecar: "before" | "behind") => {
    const inbound = { port: running.port(sidecar, "virtualInbound"), destination: app.port };
    return (await callHttp({ ...inbound, identity: await identity(serviceAccount) }, {}))?.status;
  };
  assert.deepEqual([await statusFor("cart", "before"), await statusFor("page", "before")], [200, 200]);
  assert.deepEqual([await statusFor("cart", "behind"), await statusFor("page", "behind")], [403, 200]);
});
