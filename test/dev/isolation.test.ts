import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { envoyMissing } from "../support/envoy.ts";
import { netnsMissing } from "../support/netns.ts";
import { createDevFolder } from "./runner.ts";

/** What a container sees of this machine, and what it must not. */

const skip = netnsMissing() || envoyMissing();

/** Leaves its root folder as a process with CAP_SYS_CHROOT can, and looks for the path in its argument. */
const ESCAPE = `mkdir "/tmp/jail"; chroot "/tmp/jail" or die "no chroot"; chdir ".." for 1 .. 64; chroot ".";
print -e $ARGV[0] ? "keys seen" : "no keys seen", "\\n";`;

const LOOK = `
ls -A "$STATE" | sed 's/^/in the state folder: /'
for file in "$STATE/control-plane/ca/authority-1.json" "$STATE/control-plane/issuer/key.jwk" "$STATE/admin-token"; do
  ! cat "$file" && echo hidden
done
for process in /proc/[0-9]*; do
  ! [ -e "$process/root$STATE/admin-token" ] || echo "seen through $process/root"
done
(: >"$STATE/new") || echo cannot be written
ls -A /run/trysail/pods | sed 's/^/in the folder of pods: /'
echo text >/claim/file && cat /claim/file
echo text >/empty/file && cat /empty/file
cat /host/greeting "$STATE/below/greeting"
perl -e '${ESCAPE}' "$STATE/control-plane/ca/authority-1.json"
`;

function manifests(folder: string, state: string): string {
  return `
apiVersion: v1
kind: Pod
metadata: { name: look, namespace: shop }
spec:
  containers: [{ name: app, image: test/look, command: [sleep, "60"] }]
  terminationGracePeriodSeconds: 0
  initContainers:
    - name: look
      image: test/look
      env: [{ name: STATE, value: ${state} }]
      volumeMounts:
        - { name: claim, mountPath: /claim }
        - { name: empty, mountPath: /empty }
        - { name: host, mountPath: /host, readOnly: true }
        - { name: host, mountPath: ${state}/below }
  volumes:
    - { name: claim, persistentVolumeClaim: { claimName: data } }
    - { name: empty, emptyDir: {} }
    - { name: host, hostPath: { path: ${folder} } }
`;
}

test("a root container sees neither the mesh's keys nor other pods' volumes; its own volumes work", {
  skip,
}, async (t) => {
  const dev = createDevFolder(t);
  dev.write("look.sh", LOOK);
  dev.write("greeting", "hello\n");
  dev.write("images.yaml", "images: { test/look: { command: [sh, ./look.sh] } }\n");
  dev.write("all.yaml", manifests(dev.folder, dev.state));
  const script = 'test -s "$TRYSAIL_ADMIN_TOKEN_FILE" && test -s "$TRYSAIL_STATE/control-plane/ca/authority-1.json"';
  const { code, stderr } = await dev.start("--once", "--", "sh", "-c", script).exited;
  assert.equal(code, 0, stderr);
  const lines = readFileSync(join(dev.state, "logs", "shop_look_look.log"), "utf8")
    .trim()
    .split("\n");
  assert.deepEqual(
    lines.filter((line) => !/^(cat|ls|.*look\.sh): /.test(line)),
    [
      "in the state folder: below",
      ...["hidden", "hidden", "hidden"],
      "cannot be written",
      ...["text", "text"],
      ...["hello", "hello"],
      "no keys seen",
    ],
  );
  assert.equal(readFileSync(join(dev.state, "claims/shop/data/file"), "utf8"), "text\n");
});

test("manifests in the state folder are refused, for pods could not see them", { skip }, async (t) => {
  const dev = createDevFolder(t);
  const { code, stderr } = await dev.start("--state-dir", join(dev.folder, "..")).exited;
  assert.equal(code, 1);
  assert.match(stderr, /^trysail: .* may not lie in the state folder .*: pods do not see it\n$/);
});
