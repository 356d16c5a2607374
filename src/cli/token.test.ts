import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { InvalidArgumentError } from "commander";
import { temporaryPath } from "../../test/support/state.ts";
import { createAuthenticate } from "../ca/caller/authenticate.ts";
import { createMeshTokens } from "../ca/caller/mesh-tokens.ts";
import { loadTokenIssuer } from "../ca/jwt/token-issuer.ts";
import { systemClock } from "../platform/clock.ts";
import { openStateDir } from "../platform/state-dir.ts";
import { parseDurationFlag } from "./duration-flag.ts";

/** The command in a process of its own, as a shell runs it. */
function token(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  const program = `
    import { tokenCommand } from ${JSON.stringify(import.meta.resolve("./token.ts"))};
    await tokenCommand().parseAsync(process.argv.slice(1), { from: "user" });`;
  return promisify(execFile)(process.execPath, ["--input-type=module", "-e", program, "--", ...args]);
}

test("the printed token is one that the control plane on the same folder accepts", async (t) => {
  const path = await temporaryPath(t, "state");
  const { stdout, stderr } = await token(
    ...["--namespace", "shop", "--service-account", "cart", "--pod", "cart-0", "--pod-uid", "u0"],
    ...["--ttl", "1h30m", "--state-dir", path],
  );
  assert.match(stdout, /^[\w-]+\.[\w-]+\.[\w-]+\n$/);
  assert.match(stderr, /made a new issuer key/);
  const issuer = await loadTokenIssuer({ state: await openStateDir(path), clock: systemClock });
  const credentials = { token: stdout.trim() };
  const identityAt = (clock: { now(): number }) =>
    createAuthenticate([createMeshTokens({ issuer, audiences: ["istio-ca"], trustDomain: "cluster.local", clock })])(
      credentials,
    );
  const identity = await identityAt(systemClock);
  assert.deepEqual(identity, {
    trustDomain: "cluster.local",
    namespace: "shop",
    serviceAccount: "cart",
    pod: { name: "cart-0", uid: "u0" },
  });
  const later = { now: () => Date.now() + 92 * 60_000 };
  await assert.rejects(identityAt(later), /token expired/);

  const again = await token("--namespace", "shop", "--service-account", "cart", "--state-dir", path);
  assert.equal(again.stderr, "", "the key is made once");
});

const mistakes = [
  { title: "no namespace", args: ["--service-account", "cart"], says: /--namespace/ },
  { title: "no account", args: ["--namespace", "shop"], says: /--service-account/ },
  {
    title: "a pod without its uid",
    args: ["--namespace", "shop", "--service-account", "cart", "--pod", "p"],
    says: /--pod-uid go together/,
  },
  {
    title: "a path for a namespace",
    args: ["--namespace", "../shop", "--service-account", "cart"],
    says: /not a namespace/,
  },
  {
    title: "a duration in words",
    args: ["--namespace", "shop", "--service-account", "cart", "--ttl", "long"],
    says: /looks like 90s/,
  },
];
for (const { title, args, says } of mistakes) {
  test(`${title} fails, and says so`, async (t) => {
    const path = await temporaryPath(t, "state");
    await assert.rejects(token(...args, "--state-dir", path), (error: Error & { stdout?: string; stderr?: string }) => {
      assert.match(String(error.stderr), says);
      assert.equal(error.stdout, "");
      return true;
    });
  });
}

test("durations are read in every unit", () => {
  const expected = {
    "500ms": 500,
    "90s": 90_000,
    "30m": 1_800_000,
    "12h": 43_200_000,
    "1h30m": 5_400_000,
    "7d": 604_800_000,
    "1.5h": 5_400_000,
  };
  for (const [text, milliseconds] of Object.entries(expected))
    assert.equal(parseDurationFlag(text), milliseconds, text);
});

for (const text of ["", "12", "h", "-1h", "1h ", "1w", "12h30", "1e3s"]) {
  test(`"${text}" is no duration`, () => {
    assert.throws(() => parseDurationFlag(text), InvalidArgumentError);
  });
}
