import { resourcePath } from "../../kubernetes/resource-path.ts";
import { parseSigners, type SignersConfig } from "../../kubernetes/signer-config.ts";
import { isRecord } from "../../mesh/conform.ts";
import { TrysailError } from "../../platform/errors.ts";
import { type CheckTarget, controlPlaneName, orNull } from "./check.ts";

const NONE: SignersConfig = { certificateRequests: null, externalSigner: null };

export interface DeployedFlags {
  readonly signers: SignersConfig;
  /** Whether the control plane writes statuses, which the chart's `status.enabled` may turn off. */
  readonly writesStatus: boolean;
}

/** What the flags of the control plane's Deployment say; no signers where there is no such Deployment. */
export async function readDeployedFlags({
  client,
  systemNamespace: namespace,
  revision,
}: Pick<CheckTarget, "client" | "systemNamespace" | "revision">): Promise<DeployedFlags> {
  const address = { apiVersion: "apps/v1", resource: "deployments", namespace, name: controlPlaneName(revision) };
  const spec = (await orNull(client.get(resourcePath(address))))?.spec;
  return { signers: signersIn(spec), writesStatus: !argumentsIn(spec).includes("--no-status") };
}

function argumentsIn(spec: unknown): readonly string[] {
  const template = isRecord(spec) && isRecord(spec.template) ? spec.template : {};
  const containers = isRecord(template.spec) && Array.isArray(template.spec.containers) ? template.spec.containers : [];
  return containers.flatMap((container) =>
    isRecord(container) && Array.isArray(container.args) ? container.args.map(String) : [],
  );
}

/** From a DeploymentSpec: of several containers with such flags, the first. */
export function signersIn(spec: unknown): SignersConfig {
  const args = argumentsIn(spec);
  const given = (flag: string): string | undefined => {
    const at = args.findIndex((arg) => arg === flag || arg.startsWith(`${flag}=`));
    const arg = args[at];
    return arg === flag ? args[at + 1] : arg?.slice(flag.length + 1);
  };
  const flags = {
    csrSigner: given("--csr-signer"),
    csrApproval: given("--csr-approval") ?? "own-identity",
    caSigner: given("--ca-signer"),
    caSignerRoots: given("--ca-signer-roots"),
    caSignerApprove: args.includes("--ca-signer-approve"),
  };
  try {
    const present = Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined));
    return parseSigners({ ...present, csrApproval: flags.csrApproval }, { isCluster: true, hasCaDir: false });
  } catch (error) {
    // Such a control plane does not start, which its own log says.
    if (error instanceof TrysailError) return NONE;
    throw error;
  }
}
