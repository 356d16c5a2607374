import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { access, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { testControlPlane } from "../../test/support/control-plane.ts";
import { buildRevocationList } from "../../test/support/revocation-list.ts";
import { temporaryPath } from "../../test/support/state.ts";
import { until } from "../../test/support/until.ts";
import { AdsClient, NODE, sendSotw } from "../../test/support/xds-client.ts";
import { createSelfSignedRoot } from "../ca/authority/self-signed-root.ts";
import { systemClock } from "../platform/clock.ts";
import { systemRandom } from "../platform/random.ts";
import { TYPE_URL } from "../xds/resource-set.ts";

const program = fileURLToPath(new URL("trysail.ts", import.meta.url));

/** The program as a shell runs it; rejects, with what it printed, where it does not exit with 0. */
async function ca(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [program, "ca", ...args]);
  return stdout;
}

/** The slots in the order of the table, such as `active`, `old`. */
function slotsIn(table: string): string[] {
  return table.split("\n").flatMap((line) => /^(active|prepared|old) /.exec(line)?.[1] ?? []);
}

test("a rotation is driven and shown through the running control plane", async (t) => {
  const mesh = await testControlPlane(t, {});
  const server = ["--server", `http://127.0.0.1:${mesh.ports.http}`, "--state-dir", mesh.stateDir];
  const status = await ca("status", ...server);
  assert.match(
    status,
    /^SLOT +ID +ORIGIN +KEY +VALID UNTIL +NOTE +SUBJECT\nactive +[0-9a-f]{16} +self-signed +ec prime256v1 /,
  );
  assert.match(status, /0 of 0 connected proxies accepted the trust bundle/);
  assert.match(status, /next: waiting, because the active authority is young enough, until 20\d\d-/);
  await assert.rejects(ca("activate", ...server), /nothing is prepared/);
  assert.deepEqual(slotsIn(await ca("prepare", ...server)), ["active", "prepared"]);
  const activated = await until("the start to be long enough ago", () => ca("activate", ...server));
  assert.deepEqual(slotsIn(activated), ["active", "old"]);
  // Nothing was signed with it, so nothing is waited for.
  assert.deepEqual(slotsIn(await ca("retire", ...server).catch(() => ca("status", ...server))), ["active"]);
  const { slots, facts } = JSON.parse(await ca("status", "-o", "json", ...server));
  assert.equal(slots.length, 1);
  assert.equal(facts.proxies, 0);
  const metrics = await (await fetch(`http://127.0.0.1:${mesh.ports.monitoring}/metrics`)).text();
  for (const step of ["prepare", "activate", "retire"]) {
    assert.match(metrics, new RegExp(`trysail_authority_rotation_steps_total\\{step="${step}"\\} 1`));
  }
  const ends = Number(/^trysail_authority_expiry_timestamp_seconds (\S+)$/m.exec(metrics)?.[1]);
  assert.ok(ends * 1000 > Date.now());
});

test("revocation lists are shown with their end, and with what is wrong with them", async (t) => {
  const caDir = await temporaryPath(t, "cacerts");
  await mkdir(caDir);
  const root = createSelfSignedRoot({ clock: systemClock, random: systemRandom, trustDomain: "cluster.local" });
  const pair = { certificatePem: root.certificatePem, keyPem: Buffer.from(root.keyPem.reveal()).toString() };
  await writeFile(join(caDir, "ca-cert.pem"), pair.certificatePem);
  await writeFile(join(caDir, "ca-key.pem"), pair.keyPem);
  const thisUpdate = Date.now() - 1000;
  const list = buildRevocationList({ ...pair, thisUpdate, nextUpdate: Date.parse("2035-01-01T00:00:00Z") });
  await writeFile(join(caDir, "ca-crl.pem"), list);
  const mesh = await testControlPlane(t, {}, { caDir });
  const server = ["--server", `http://127.0.0.1:${mesh.ports.http}`, "--state-dir", mesh.stateDir];
  const status = await ca("status", ...server);
  assert.match(status, /^revocation lists are in force until 2035-01-01T00:00:00Z$/m);
  assert.doesNotMatch(status, /^revocation lists:/m);
  const offline = ["--offline", "--state-dir", mesh.stateDir];
  await assert.rejects(
    ca("prepare", ...offline),
    /the authority is plugged in, and where it is only the control plane/,
  );
  await writeFile(join(caDir, "ca-crl.pem"), "rubbish");
  await until("the problem to be shown", async () =>
    /^revocation lists: .*ca-crl\.pem holds no revocation list in PEM$/m.test(await ca("status", ...server)),
  );
});

test("without a control plane the state folder is changed itself, and one that runs follows", async (t) => {
  const mesh = await testControlPlane(t, {});
  const offline = ["--offline", "--state-dir", mesh.stateDir];
  assert.deepEqual(slotsIn(await ca("prepare", ...offline)), ["active", "prepared"]);
  await assert.rejects(ca("activate", ...offline), /without the control plane nobody knows/);
  const activated = await ca("activate", "--force", ...offline);
  const server = ["--server", `http://127.0.0.1:${mesh.ports.http}`, "--state-dir", mesh.stateDir];
  const active = (table: string) => /^active +([0-9a-f]{16})/m.exec(table)?.[1];
  await until("the control plane to follow", async () => active(await ca("status", ...server)) === active(activated));
});

test("an authority that has expired is shown as it is, and a look at the state folder replaces none", async (t) => {
  const [caDir, stateDir] = [await temporaryPath(t, "cacerts"), await temporaryPath(t, "state")];
  await mkdir(caDir);
  const plugIn = async (lifeMs: number) => {
    const made = { clock: systemClock, random: systemRandom, trustDomain: "cluster.local", lifeMs };
    const root = createSelfSignedRoot(made);
    await writeFile(join(caDir, "ca-cert.pem"), root.certificatePem);
    await writeFile(join(caDir, "ca-key.pem"), Buffer.from(root.keyPem.reveal()));
    return root;
  };
  await plugIn(-1000);
  await assert.rejects(
    testControlPlane(t, {}, { caDir, stateDir }),
    /^TrysailError: the authority in .*cacerts expired at 20/,
  );
  await assert.rejects(ca("status", "--offline", "--state-dir", stateDir), /no authority in/, "it is not begun with");

  const brief = await plugIn(12_000);
  const mesh = await testControlPlane(t, {}, { caDir, stateDir });
  const server = ["--server", `http://127.0.0.1:${mesh.ports.http}`, "--state-dir", stateDir];
  const hasExpired = /^active +([0-9a-f]{16}) +plugged-in .* has expired /m;
  const shown = await until(
    "it to be over",
    async () => {
      const table = await ca("status", ...server);
      return hasExpired.test(table) ? table : undefined;
    },
    { timeoutMs: 30_000 },
  );
  const offline = await ca("status", "--offline", "--state-dir", stateDir);
  assert.equal(hasExpired.exec(offline)?.[1], hasExpired.exec(shown)?.[1]);
  await assert.rejects(ca("prepare", "--offline", "--state-dir", stateDir), /the authority is plugged in/);
  assert.equal(await readFile(join(stateDir, "ca/root-cert.pem"), "utf8"), brief.certificatePem);

  // Which goes on where it ended, once it is mended.
  const mended = await plugIn(86_400_000);
  await until("the mended one to sign", async () => !hasExpired.test(await ca("status", ...server)), {
    timeoutMs: 30_000,
  });
  assert.ok((await readFile(join(stateDir, "ca/root-cert.pem"), "utf8")).includes(mended.certificatePem));
});

test("only workloads of the control plane's own namespace may look or rotate", async (t) => {
  const mesh = await testControlPlane(t, {});
  const file = await temporaryPath(t, "token");
  const server = ["--server", `http://127.0.0.1:${mesh.ports.http}`, "--token-file", file];
  await writeFile(file, "none");
  await assert.rejects(ca("status", ...server), /token/);
  const tokenOf = (namespace: string) =>
    mesh.issuer.issue({ namespace, serviceAccount: "any", audience: "istio-ca", ttlMs: 60_000 });
  await writeFile(file, await tokenOf("shop"));
  await assert.rejects(ca("status", ...server), /only workloads of trysail-system/);
  await assert.rejects(ca("prepare", ...server), /only workloads of trysail-system/);
  await writeFile(file, await tokenOf("trysail-system"));
  assert.deepEqual(slotsIn(await ca("status", ...server)), ["active"]);
});

test("what is missing or wrong is said in one line", async (t) => {
  const missing = await temporaryPath(t, "state");
  const empty = await temporaryPath(t, "empty");
  await mkdir(empty, { mode: 0o700 });
  const tokenFile = await temporaryPath(t, "token");
  await writeFile(tokenFile, "token");
  const asked = (server: string) => ["status", "--token-file", tokenFile, "--server", server];
  const cases: readonly (readonly [string[], RegExp])[] = [
    [["status"], /^trysail: name a --token-file, or on one machine the --state-dir\n$/],
    [["status", "--offline"], /^trysail: --offline needs --state-dir\n$/],
    [
      ["status", "--offline", "--state-dir", missing],
      /^trysail: there is no state folder .*: trysail serve makes it\n$/,
    ],
    [["status", "--offline", "--state-dir", empty], /^trysail: no authority in .*: trysail serve makes it\n$/],
    [["status", "--state-dir", missing], /^trysail: there is no state folder .*: trysail serve makes it\n$/],
    [["status", "--state-dir", empty], /^trysail: no token issuer's key in .*: trysail serve makes it\n$/],
    [["status", "--token-file", missing], /^trysail: --token-file cannot be read: ENOENT.*\n$/],
    [asked("nonsense"), /^trysail: --server nonsense is no URL such as http:\/\/127.0.0.1:8080\n$/],
    [asked("localhost:8080"), /^trysail: --server localhost:8080 is no URL such as .*\n$/],
    [["status", "-o", "yaml"], /^trysail: --output yaml is neither table nor json\n$/],
    [asked("http://127.0.0.1:1"), /^trysail: nothing answers at .*127.0.0.1:1.*\n$/],
  ];
  for (const [args, says] of cases) {
    await assert.rejects(ca(...args), (error: Error & { stderr?: string }) => {
      assert.match(error.stderr ?? "", says);
      return true;
    });
  }
  await assert.rejects(access(missing), { code: "ENOENT" }, "nobody who only asks makes a folder of keys");
  assert.deepEqual(await readdir(empty), []);
});

test("a proxy that accepts no trust bundle is named to whoever waits for it, and counted", async (t) => {
  const mesh = await testControlPlane(t, {});
  const server = ["--server", `http://127.0.0.1:${mesh.ports.http}`, "--state-dir", mesh.stateDir];
  const token = await mesh.issuer.issue({ namespace: "shop", serviceAccount: "cart", ttlMs: 60_000 });
  const stream = new AdsClient(t, {
    ...{ port: mesh.ports.grpc, rootPem: await readFile(mesh.rootPath, "utf8"), token },
  }).secrets();
  const typeUrl = TYPE_URL.secret;
  sendSotw(stream, { typeUrl, node: NODE, resourceNames: ["ROOTCA"] });
  const { nonce, version } = await stream.next();
  sendSotw(stream, { typeUrl, resourceNames: ["ROOTCA"], responseNonce: nonce, versionInfo: version });
  const metric = async () => {
    const text = await (await fetch(`http://127.0.0.1:${mesh.ports.monitoring}/metrics`)).text();
    return /^trysail_authority_proxies_behind (\d+)$/m.exec(text)?.[1];
  };
  await until("the answer", async () => (await metric()) === "0");
  await ca("prepare", ...server);
  await stream.next();
  // It never says whether it accepts that.
  const named =
    /because 1 of 1 connected proxies have not accepted the new trust bundle: cart-1\.shop, until 20\d\d-.*Z$/m;
  const status = await until("what is waited for", async () => {
    const text = await ca("status", ...server);
    return named.test(text) ? text : undefined;
  });
  assert.match(status, /^0 of 1 connected proxies accepted the trust bundle$/m);
  assert.equal(await metric(), "1");
  await assert.rejects(ca("activate", ...server), /trust bundle: cart-1\.shop \(--force activates all the same\)/);
  assert.deepEqual(slotsIn(await ca("activate", "--force", ...server)), ["active", "old"]);
});
