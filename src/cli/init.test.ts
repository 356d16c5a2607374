import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { envoyMissing, validateConfig } from "../../test/support/envoy.ts";

const skip = envoyMissing();

/** Rules are src/init/interception.test.ts's matter; here the tools that would set them only say yes. */
function pod(t: TestContext, overrides: Record<string, string> = {}) {
  const folder = mkdtempSync(join(tmpdir(), "trysail-init-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, "labels"), 'app="web"\n');
  writeFileSync(join(folder, "annotations"), "");
  for (const tool of ["iptables-save", "iptables-restore"]) {
    writeFileSync(join(folder, tool), `#!/bin/sh\n/bin/cat >> ${folder}/${tool}.input\n`, { mode: 0o755 });
  }
  const env = {
    PATH: folder,
    POD_NAME: "web-0",
    POD_NAMESPACE: "shop",
    SERVICE_ACCOUNT: "web",
    INSTANCE_IP: "10.1.2.3",
    PROXY_CONFIG: '{"discoveryAddress":"control-plane.example:15012"}',
    ...overrides,
  };
  const program = `
    import { initCommand } from ${JSON.stringify(import.meta.resolve("./init.ts"))};
    process.umask(0o077);
    await initCommand().parseAsync(process.argv.slice(1), { from: "user" });`;
  const bootstrap = join(folder, "proxy/envoy.json");
  const init = (...args: string[]) => {
    const flags = ["--bootstrap", bootstrap, "--pod-info", folder, ...args];
    return promisify(execFile)(process.execPath, ["--input-type=module", "-e", program, "--", ...flags], { env });
  };
  return { folder, bootstrap, init };
}

test("the bootstrap is written whole, for every user to read, and again on a restart", async (t) => {
  const { folder, bootstrap, init } = pod(t);
  for (const address of ["control-plane.example:15012", "other.example:1"]) {
    await init(...(address.startsWith("other") ? ["--discovery-address", address] : []));
    const written = JSON.parse(readFileSync(bootstrap, "utf8"));
    assert.equal(written.node.id, "sidecar~10.1.2.3~web-0.shop~shop.svc.cluster.local");
    assert.equal(written.node.metadata.LABELS.app, "web");
    const [service] = written.dynamicResources.adsConfig.grpcServices;
    assert.equal(service.googleGrpc.targetUri, address);
    assert.equal(statSync(bootstrap).mode & 0o777, 0o644);
    assert.deepEqual(readdirSync(join(folder, "proxy")), ["envoy.json"]);
  }
  assert.match(readFileSync(join(folder, "iptables-restore.input"), "utf8"), /-A OUTPUT -p tcp -j ISTIO_OUTPUT/);
});

test("nothing of Envoy's descriptors is loaded: every pod waits for it", async (t) => {
  const refusal = `
    import { registerHooks } from "node:module";
    registerHooks({
      load(url, context, next) {
        if (/[/]src[/]gen[/]|@bufbuild/.test(url)) throw new Error("loaded: " + url);
        return next(url, context);
      },
    });`;
  const tasks = { preStop: { kind: "drain", holdSeconds: 5, untilIdle: true } };
  const { folder, init } = pod(t, {
    NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(refusal)}`,
    PROXY_LIFECYCLE_TASKS: JSON.stringify(tasks),
  });
  await init();
  assert.deepEqual(readdirSync(join(folder, "proxy")), ["envoy.json", "pre-stop.json"]);
});

test("an image without a shell gets the bootstraps of its hooks, which Envoy accepts", { skip }, async (t) => {
  const tasks = { postStart: { kind: "wait" }, preStop: { kind: "drain", holdSeconds: 5, untilIdle: true } };
  const { folder, init } = pod(t, { PROXY_LIFECYCLE_TASKS: JSON.stringify(tasks) });
  await init();
  assert.deepEqual(readdirSync(join(folder, "proxy")), ["envoy.json", "post-start.json", "pre-stop.json"]);
  for (const name of ["post-start", "pre-stop"]) {
    assert.equal(await validateConfig(JSON.parse(readFileSync(join(folder, `proxy/${name}.json`), "utf8"))), null);
  }
});

const mistakes: readonly [title: string, args: string[], env: Record<string, string>, says: RegExp][] = [
  ["no pod", [], { POD_NAME: "" }, /POD_NAME is not set/],
  ["no control plane", [], { PROXY_CONFIG: "" }, /no control plane is named: set --discovery-address/],
  ["no pod info", ["--pod-info", "/nowhere"], {}, /\/nowhere\/labels cannot be read: .* the volume istio-podinfo/],
  ["a bad list", ["--exclude-inbound-ports", "ssh"], {}, /--exclude-inbound-ports: "ssh" is not a port/],
  ["nowhere to write", ["--bootstrap", "/proc/envoy.json"], {}, /\/proc\/envoy.json cannot be written/],
];
for (const [title, args, env, says] of mistakes) {
  test(`${title} fails, says so, and redirects nothing`, async (t) => {
    const { folder, init } = pod(t, env);
    await assert.rejects(init(...args), says);
    assert.ok(!readdirSync(folder).includes("iptables-restore.input"));
  });
}
