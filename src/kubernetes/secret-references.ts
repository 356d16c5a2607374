import { grantsCredentials, selectsCallers, serverCredentials, tlsSettings } from "../mesh/credentials.ts";
import type { DestinationRule } from "../mesh/istio/destination-rule.ts";
import type { Gateway } from "../mesh/istio/gateway.ts";
import type { KnownObject } from "../mesh/kinds.ts";

/** A Secret that an object names for the TLS of proxies, and where it does. */
export interface SecretReference {
  readonly owner: DestinationRule | Gateway;
  readonly field: string;
  readonly namespace: string;
  readonly name: string;
  /** Some proxy may have it by this. */
  readonly isUsed: boolean;
}

/** Of DestinationRules, in their own namespace; of Gateways, in the namespaces of the pods that they select. */
export function secretReferences(objects: readonly KnownObject[]): readonly SecretReference[] {
  const rules = objects.filter((object) => object.kind === "DestinationRule");
  const gateways = objects.filter((object) => object.kind === "Gateway");
  return [...rules.flatMap(ofRule), ...(gateways.length === 0 ? [] : ofGateways(gateways, objects))];
}

function ofRule(owner: DestinationRule): SecretReference[] {
  const { namespace } = owner.metadata;
  const isUsed = selectsCallers(owner.spec);
  return tlsSettings(owner).flatMap(({ path, tls: { credentialName: name = "" } }) =>
    name === "" ? [] : [{ owner, field: `${path}.credentialName`, namespace, name, isUsed }],
  );
}

function ofGateways(gateways: readonly Gateway[], objects: readonly KnownObject[]): SecretReference[] {
  const pods = objects.filter((object) => object.kind === "Pod");
  return gateways.flatMap((owner) => {
    const named = serverCredentials(owner);
    if (named.length === 0) return [];
    const selected = pods.filter(({ metadata }) => grantsCredentials(owner, metadata.labels));
    const namespaces = [...new Set(selected.map(({ metadata }) => metadata.namespace))].sort();
    return namespaces.flatMap((namespace) =>
      named.map(({ path, name }) => ({ owner, field: path, namespace, name, isUsed: true })),
    );
  });
}
