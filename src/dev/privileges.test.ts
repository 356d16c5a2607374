import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import type { Container, PodSpec } from "./pod.ts";
import { privileges } from "./privileges.ts";

const container: Container = { name: "web", image: "web" };
const spec: PodSpec = { containers: [container] };

test("a container is root with a runtime's usual capabilities where it asks for nothing", () => {
  const args = privileges(spec, container);
  assert.deepEqual(args.slice(0, 3), ["--reuid=0", "--regid=0", "--clear-groups"]);
  assert.match(args.at(-1) ?? "", /^--bounding-set=-all,.*\+net_bind_service/);
  assert.doesNotMatch(args.join(" "), /net_admin|no-new-privs/);
});

test("the container's own user comes before the pod's; groups come from the pod", () => {
  const pod: PodSpec = {
    ...spec,
    securityContext: { runAsUser: 1, runAsGroup: 2, fsGroup: 3, supplementalGroups: [4] },
  };
  assert.deepEqual(privileges(pod, container).slice(0, 3), ["--reuid=1", "--regid=2", "--groups=4,3"]);
  assert.equal(privileges(pod, { ...container, securityContext: { runAsUser: 1337 } })[0], "--reuid=1337");
});

test("capabilities are dropped and added by name, with or without CAP_", () => {
  const of = (capabilities: { add?: string[]; drop?: string[] }) =>
    privileges(spec, { ...container, securityContext: { capabilities } }).at(-1);
  assert.equal(of({ drop: ["ALL"] }), "--bounding-set=-all");
  assert.equal(of({ drop: ["ALL"], add: ["NET_ADMIN", "CAP_NET_RAW"] }), "--bounding-set=-all,+net_admin,+net_raw");
  assert.equal(of({ add: ["ALL"] }), "--bounding-set=-all,+all");
});

test("runAsNonRoot refuses root", () => {
  const securityContext = { runAsNonRoot: true };
  assert.throws(() => privileges(spec, { ...container, securityContext }), /container web: runAsNonRoot/);
  assert.equal(
    privileges(spec, { ...container, securityContext: { ...securityContext, runAsUser: 5 } })[0],
    "--reuid=5",
  );
});

const skip = process.getuid?.() === 0 ? false : "needs root, to change users";
test("setpriv takes every one of these arguments", { skip }, () => {
  const securityContext = {
    runAsUser: 1337,
    runAsGroup: 1337,
    allowPrivilegeEscalation: false,
    capabilities: { drop: ["ALL"] },
  };
  const args = privileges(spec, { ...container, securityContext });
  const status = execFileSync("setpriv", [...args, "--", "cat", "/proc/self/status"], { encoding: "utf8" });
  assert.match(status, /^Uid:\s+1337\s+1337/m);
  assert.match(status, /^CapBnd:\s+0000000000000000/m);
  assert.match(status, /^NoNewPrivs:\s+1/m);
});
