import assert from "node:assert/strict";
import { test } from "node:test";
import { parseSigners, type SignerFlags } from "./signer-config.ts";

const usual: SignerFlags = { csrApproval: "own-identity" };
const inCluster = { isCluster: true, hasCaDir: false };
const external: SignerFlags = { ...usual, caSigner: "ca.example.com/mesh", caSignerRoots: "/roots.pem" };

test("no signer is asked, and none is offered, unless it is named", () => {
  assert.deepEqual(parseSigners(usual, inCluster), { certificateRequests: null, externalSigner: null });
});

test("a signer is offered, and what it approves", () => {
  const flags = { ...usual, csrSigner: "trysail.dev/workload" };
  const { certificateRequests } = parseSigners(flags, inCluster);
  assert.deepEqual(certificateRequests, { signerName: "trysail.dev/workload", approves: true });
  const manual = parseSigners({ ...flags, csrApproval: "manual" }, inCluster);
  assert.equal(manual.certificateRequests?.approves, false);
});

for (const [text, roots] of [
  ["configmaps/mesh-roots", { kind: "configmaps", name: "mesh-roots" }],
  ["secrets/mesh-roots", { kind: "secrets", name: "mesh-roots" }],
  ["/etc/roots/ca.crt", { kind: "file", path: "/etc/roots/ca.crt" }],
  ["configmaps/some/file", { kind: "file", path: "configmaps/some/file" }],
] as const) {
  test(`the roots of a signer may be ${text}`, () => {
    const { externalSigner } = parseSigners({ ...external, caSignerRoots: text }, inCluster);
    assert.deepEqual(externalSigner, { signerName: "ca.example.com/mesh", approves: false, roots });
  });
}

const refusals: readonly [title: string, flags: SignerFlags, message: RegExp, place?: typeof inCluster][] = [
  ["an approval that is none", { csrApproval: "everybody" }, /neither own-identity nor manual/],
  ["a signer without a domain", { ...usual, csrSigner: "workload" }, /--csr-signer is DOMAIN\/NAME/],
  ["to be a signer that Kubernetes is", { ...usual, csrSigner: "kubernetes.io/kubelet-serving" }, /Kubernetes' own/],
  ["a signer with a path", { ...external, caSigner: "ca.example.com/a/b" }, /--ca-signer is DOMAIN\/NAME/],
  ["a mesh that asks itself", { ...external, csrSigner: "ca.example.com/mesh" }, /must differ/],
  ["a signer without roots", { ...usual, caSigner: "ca.example.com/mesh" }, /--ca-signer-roots is missing/],
  ["roots without a place", { ...external, caSignerRoots: "" }, /--ca-signer-roots is empty/],
  ["roots without a signer", { ...usual, caSignerRoots: "/roots.pem" }, /without --ca-signer/],
  ["two that sign", external, /--ca-dir and --ca-signer exclude each other/, { ...inCluster, hasCaDir: true }],
  ["a signer without a cluster", external, /need a cluster/, { isCluster: false, hasCaDir: false }],
];
for (const [title, flags, message, place = inCluster] of refusals) {
  test(`${title} is refused`, () => {
    assert.throws(() => parseSigners(flags, place), { code: "invalid-argument", message });
  });
}
