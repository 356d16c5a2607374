import assert from "node:assert/strict";
import { test } from "node:test";
import { signersIn } from "./deployed-flags.ts";

const deployment = (...args: string[]) => ({ template: { spec: { containers: [{ name: "proxy" }, { args }] } } });
const none = { certificateRequests: null, externalSigner: null };

const cases: readonly [title: string, spec: unknown, expected: unknown][] = [
  ["no flags", deployment("serve"), none],
  ["nothing at all", {}, none],
  [
    "the chart's flags of a signer",
    deployment("--csr-signer=trysail.dev/workload", "--csr-approval=manual"),
    { ...none, certificateRequests: { signerName: "trysail.dev/workload", approves: false } },
  ],
  [
    "flags and values apart, as extraArgs may have them",
    deployment("--csr-signer", "trysail.dev/workload"),
    { ...none, certificateRequests: { signerName: "trysail.dev/workload", approves: true } },
  ],
  [
    "a signer elsewhere",
    deployment("--ca-signer=corp.example/mesh", "--ca-signer-roots=configmaps/corp-roots", "--ca-signer-approve"),
    {
      ...none,
      externalSigner: {
        signerName: "corp.example/mesh",
        approves: true,
        roots: { kind: "configmaps", name: "corp-roots" },
      },
    },
  ],
  ["flags with which no control plane starts", deployment("--ca-signer=corp.example/mesh"), none],
];

for (const [title, spec, expected] of cases) {
  test(`the signers of a Deployment with ${title} are known`, () => assert.deepEqual(signersIn(spec), expected));
}
