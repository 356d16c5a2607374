import { resourcePath } from "../../kubernetes/resource-path.ts";
import { parseSigners, type SignersConfig } from "../../kubernetes/signer-config.ts";
import { isRecord } from "../../mesh/conform.ts";
import { TrysailError } from "../../platform/errors.ts";
import { type CheckTarget, controlPlaneName, orNull } from "./check.ts";

const NONE: SignersConfig = { certificateRequests: null, externalSigner: null };

/** The signers that the flags of the control plane's Deployment name; none where there is no such Deployment. */
export async function readDeployedSigners(target: DeployedTarget): Promise<SignersConfig> {
  return signersIn((await readDeployment(target))?.spec);
}

/** Whether the control plane writes statuses, which the chart's `status.enabled` may turn off. */
export async function writesStatus(target: DeployedTarget): Promise<boolean> {
  return !argumentsIn((await readDeployment(target))?.spec).includes("--no-status");
}

type DeployedTarget = Pick<CheckTarget, "client" | "systemNamespace" | "revision">;

function readDeployment({ client, systemNamespace: namespace, revision }: DeployedTarget) {
  const address = { apiVersion: "apps/v1", resource: "deployments", namespace, name: controlPlaneName(revision) };
  return orNull(client.get(resourcePath(address)));
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
