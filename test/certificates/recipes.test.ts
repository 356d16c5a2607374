import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { openssl } from "../support/openssl.ts";
import { temporaryPath } from "../support/state.ts";

const folder = fileURLToPath(new URL("../../certs", import.meta.url));

/** `make -C certs …`; answers what it printed, also where it failed. */
async function make(...args: string[]): Promise<{ readonly ok: boolean; readonly says: string }> {
  return promisify(execFile)("make", ["-s", "-C", folder, ...args]).then(
    ({ stdout }) => ({ ok: true, says: stdout }),
    ({ stderr }: { stderr: string }) => ({ ok: false, says: stderr }),
  );
}

test("recipes for authorities say in one line what they lack, and a list takes back what it was told to", async (t) => {
  const out = await temporaryPath(t, "certs");
  const OUT = `OUT=${out}`;
  const fails = async (says: RegExp, ...args: string[]) => {
    const made = await make(...args, OUT);
    assert.equal(made.ok, false, args.join(" "));
    // Beside what make says of it, and a shell that has words of its own where its input is a socket.
    const own = made.says.split("\n").filter((line) => line.startsWith("certs: "));
    assert.equal(own.length, 1, made.says);
    assert.match(own.join(), says);
  };
  await fails(/^certs: no root in .*: make -C certs root$/, "intermediate");
  assert.equal((await make("root", OUT)).ok, true);
  await fails(/^certs: .* is there already/, "root");
  await fails(/^certs: no intermediate in .*: make -C certs intermediate CLUSTER=west$/, "verify", "CLUSTER=west");
  await fails(/^certs: no revocation list in .*: make -C certs list$/, "lists", "CLUSTER=west");
  await fails(/^certs: no key of west in /, "list", "BY=west");
  assert.equal((await make("intermediate", "CLUSTER=west", OUT)).ok, true);
  const west = join(out, "west/ca-cert.pem");
  const list = join(out, "root/crl.pem");
  await fails(/^certs: .*missing\.pem is no certificate that can be read$/, "list", `REVOKED=${out}/missing.pem`);
  assert.equal((await make("list", `REVOKED=${west} ${west}`, OUT)).ok, true);
  const [, serial] = (await openssl("x509", "-in", west, "-noout", "-serial")).trim().split("=");
  const shown = await openssl("crl", "-in", list, "-noout", "-text");
  assert.deepEqual(
    [...shown.matchAll(/Serial Number: (\S+)/g)].map(([, listed]) => listed),
    [serial],
  );
  const before = readFileSync(list);
  await fails(/is no certificate that can be read$/, "list", `REVOKED=${west} ${join(out, "west/ca-key.pem")}`);
  assert.deepEqual(readFileSync(list), before, "a list that was not made replaces none");
  await fails(/^certs: no intermediate in .*: make -C certs intermediate CLUSTER=east$/, "lists", "CLUSTER=east");
  assert.equal((await make("intermediate", "CLUSTER=west", OUT)).ok, true);
  const key = readFileSync(join(out, "west/ca-key.pem"));
  assert.equal((await make("list", "BY=west", OUT)).ok, true);
  await fails(/^certs: .*west has a revocation list, .*: name another CLUSTER$/, "intermediate", "CLUSTER=west");
  assert.deepEqual(readFileSync(join(out, "west/ca-key.pem")), key, "nobody else could sign its next list");
});
