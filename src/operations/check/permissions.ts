import {
  type AccessRule,
  type RequiredAccess,
  requiredAccess,
  signerAccess,
  statusAccess,
} from "../../control-plane/required-access.ts";
import type { KubernetesClient } from "../../kubernetes/client.ts";
import { isRecord } from "../../mesh/conform.ts";
import { type Check, type CheckTarget, controlPlaneName, type Outcome } from "./check.ts";
import { readDeployedFlags } from "./deployed-flags.ts";

/** One verb on one resource: https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/subject-access-review-v1/ */
interface Access {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string;
  readonly name?: string;
  readonly namespace?: string;
}

const AT_ONCE = 8;
const AUTHORIZATION = "/apis/authorization.k8s.io/v1";

/**
 * Behind the installation, whether the control plane's account may do all that it needs. Before, whether the caller may
 * install it: whoever makes a role needs every right that the role gives.
 * https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping
 */
export const permissions: Check = {
  name: "permissions",
  when: "always",
  run: (target) => (target.isInstalled ? ofControlPlane(target) : ofCaller(target)),
};

async function ofControlPlane(target: CheckTarget): Promise<readonly Outcome[]> {
  const { client, systemNamespace, revision } = target;
  const name = controlPlaneName(revision);
  const user = `system:serviceaccount:${systemNamespace}:${name}`;
  const groups = ["system:serviceaccounts", `system:serviceaccounts:${systemNamespace}`, "system:authenticated"];
  const mayDo = (resourceAttributes: Access) =>
    isAllowed(client, "subjectaccessreviews", { user, groups, resourceAttributes });
  const { signers, writesStatus } = await readDeployedFlags(target);
  const needed = [requiredAccess(revision), signerAccess(signers)].flatMap((access) =>
    accessOf(access, systemNamespace),
  );
  const missing = await denied(needed, mayDo);
  const action = `helm upgrade puts back the ClusterRole and the Role ${name} of the chart`;
  // Without its roles it lacks every right, which is one thing to mend and not one for each.
  if (missing.length === needed.length) {
    const message = `the control plane may do none of the ${needed.length} things that it needs`;
    return [{ status: "fail", message, action }];
  }
  const outcomes = missing.map(
    (access): Outcome => ({ status: "fail", message: `the control plane may not ${describe(access)}`, action }),
  );
  const writing = writesStatus ? accessOf(statusAccess, systemNamespace) : [];
  const [unwritable, ...more] = await denied(writing, mayDo);
  if (unwritable !== undefined) {
    const others = more.length === 0 ? "" : `, and ${more.length} more`;
    const message = `objects get no status: the control plane may not ${describe(unwritable)}${others}`;
    outcomes.push({ status: "warn", message, action });
  }
  if (outcomes.length > 0) return outcomes;
  return [{ status: "pass", message: `the control plane may do all ${needed.length} things that it needs` }];
}

async function ofCaller({ client, systemNamespace, revision }: CheckTarget): Promise<readonly Outcome[]> {
  const mayInstall = (resourceAttributes: Access) =>
    isAllowed(client, "selfsubjectaccessreviews", { resourceAttributes });
  if (await mayInstall({ verb: "*", group: "*", resource: "*" })) {
    return [{ status: "pass", message: "you may do everything" }];
  }
  const granted = [requiredAccess(revision), statusAccess].flatMap((access) => accessOf(access, systemNamespace));
  const needed = [...granted, ...chartObjects(systemNamespace)];
  const missing = await denied(needed, mayInstall);
  if (missing.length === 0) return [{ status: "pass", message: "you may install the chart" }];
  const action = "let somebody install it who may, such as a cluster's administrator";
  return missing.map((access) => ({ status: "fail", message: `you may not ${describe(access)}`, action }));
}

/** What Helm makes of the chart's templates. */
function chartObjects(namespace: string): readonly Access[] {
  const create = (group: string, resource: string, place: { namespace?: string } = {}): Access => ({
    ...{ verb: "create", group, resource },
    ...place,
  });
  const rbac = "rbac.authorization.k8s.io";
  const own = { namespace };
  return [
    create("apiextensions.k8s.io", "customresourcedefinitions"),
    create("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
    create("admissionregistration.k8s.io", "validatingwebhookconfigurations"),
    create(rbac, "clusterroles"),
    create(rbac, "clusterrolebindings"),
    create(rbac, "roles", own),
    create(rbac, "rolebindings", own),
    create("", "serviceaccounts", own),
    create("", "services", own),
    create("", "configmaps", own),
    create("apps", "deployments", own),
    create("policy", "poddisruptionbudgets", own),
    create("networking.k8s.io", "networkpolicies", own),
  ];
}

function accessOf({ cluster, own }: RequiredAccess, systemNamespace: string): readonly Access[] {
  return [
    ...cluster.flatMap((rule) => expanded(rule)),
    ...own.flatMap((rule) => expanded(rule).map((access) => ({ ...access, namespace: systemNamespace }))),
  ];
}

function expanded({ apiGroups, resources, resourceNames = [""], verbs }: AccessRule): Access[] {
  return apiGroups.flatMap((group) =>
    resources.flatMap((resource) =>
      resourceNames.flatMap((name) =>
        verbs.map((verb) => ({ verb, group, ...splitResource(resource), ...(name !== "" && { name }) })),
      ),
    ),
  );
}

/** A role writes `virtualservices/status`, a review both apart. */
function splitResource(written: string): Pick<Access, "resource" | "subresource"> {
  const [resource = "", subresource] = written.split("/");
  return subresource === undefined ? { resource } : { resource, subresource };
}

async function denied(
  needed: readonly Access[],
  mayDo: (access: Access) => Promise<boolean>,
): Promise<readonly Access[]> {
  const missing: Access[] = [];
  for (let at = 0; at < needed.length; at += AT_ONCE) {
    const some = needed.slice(at, at + AT_ONCE);
    const answers = await Promise.all(some.map(mayDo));
    missing.push(...some.filter((_, i) => answers[i] === false));
  }
  return missing;
}

/** By a review of what somebody, or the client itself, may do. */
export async function isAllowed(
  client: Pick<KubernetesClient, "create">,
  resource: "subjectaccessreviews" | "selfsubjectaccessreviews",
  spec: object,
): Promise<boolean> {
  const { status } = await client.create(`${AUTHORIZATION}/${resource}`, { spec });
  return isRecord(status) && status.allowed === true;
}

function describe({ verb, group, resource, subresource, name, namespace }: Access): string {
  const whole = subresource === undefined ? resource : `${resource}/${subresource}`;
  const qualified = group === "" ? whole : `${whole}.${group}`;
  return `${verb} ${qualified}${name === undefined ? "" : ` ${name}`}${namespace === undefined ? "" : ` in ${namespace}`}`;
}
