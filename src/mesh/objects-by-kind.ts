import type { KnownObject } from "./kinds.ts";
import type { WorkloadController } from "./kubernetes/core.ts";
import { compareText, type MeshObject } from "./object.ts";

type Plain = Exclude<KnownObject, WorkloadController>;

/** A list for each kind, in order of namespace and name; pod controllers are one list. */
export type ObjectsByKind = {
  readonly [K in Plain["kind"]]: Extract<Plain, { readonly kind: K }>[];
} & { readonly WorkloadController: WorkloadController[] };

export function objectsByKind(objects: readonly KnownObject[]): ObjectsByKind {
  const lists: ObjectsByKind = {
    AuthorizationPolicy: [],
    ConfigMap: [],
    DestinationRule: [],
    EndpointSlice: [],
    Gateway: [],
    Namespace: [],
    Node: [],
    PeerAuthentication: [],
    Pod: [],
    ProxyConfig: [],
    RateLimit: [],
    Secret: [],
    Service: [],
    ServiceAccount: [],
    ServiceEntry: [],
    Sidecar: [],
    VirtualService: [],
    WorkloadController: [],
    WorkloadEntry: [],
    WorkloadGroup: [],
  };
  for (const object of objects) add(lists, object);
  for (const list of Object.values(lists)) list.sort(byName);
  return lists;
}

function byName(a: MeshObject, b: MeshObject): number {
  return (
    compareText(a.metadata.namespace, b.metadata.namespace) ||
    compareText(a.metadata.name, b.metadata.name) ||
    compareText(a.kind, b.kind)
  );
}

function add(lists: ObjectsByKind, object: KnownObject): void {
  switch (object.kind) {
    case "AuthorizationPolicy":
      lists.AuthorizationPolicy.push(object);
      break;
    case "ConfigMap":
      lists.ConfigMap.push(object);
      break;
    case "DestinationRule":
      lists.DestinationRule.push(object);
      break;
    case "EndpointSlice":
      lists.EndpointSlice.push(object);
      break;
    case "Gateway":
      lists.Gateway.push(object);
      break;
    case "Namespace":
      lists.Namespace.push(object);
      break;
    case "Node":
      lists.Node.push(object);
      break;
    case "PeerAuthentication":
      lists.PeerAuthentication.push(object);
      break;
    case "Pod":
      lists.Pod.push(object);
      break;
    case "ProxyConfig":
      lists.ProxyConfig.push(object);
      break;
    case "RateLimit":
      lists.RateLimit.push(object);
      break;
    case "Secret":
      lists.Secret.push(object);
      break;
    case "Service":
      lists.Service.push(object);
      break;
    case "ServiceAccount":
      lists.ServiceAccount.push(object);
      break;
    case "ServiceEntry":
      lists.ServiceEntry.push(object);
      break;
    case "Sidecar":
      lists.Sidecar.push(object);
      break;
    case "VirtualService":
      lists.VirtualService.push(object);
      break;
    case "WorkloadEntry":
      lists.WorkloadEntry.push(object);
      break;
    case "WorkloadGroup":
      lists.WorkloadGroup.push(object);
      break;
    default:
      lists.WorkloadController.push(object);
  }
}
