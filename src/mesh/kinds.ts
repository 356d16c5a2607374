import type { AuthorizationPolicy } from "./istio/authorization-policy.ts";
import type { DestinationRule } from "./istio/destination-rule.ts";
import type { PeerAuthentication } from "./istio/peer-authentication.ts";
import type { ProxyConfigResource } from "./istio/proxy-config.ts";
import type { VirtualService } from "./istio/virtual-service.ts";
import type {
  ConfigMap,
  EndpointSlice,
  Namespace,
  Pod,
  Secret,
  Service,
  ServiceAccount,
  WorkloadController,
} from "./kubernetes/core.ts";

/** Every kind of object the mesh reads, told apart by `kind`. */
export type KnownObject =
  | AuthorizationPolicy
  | ConfigMap
  | DestinationRule
  | EndpointSlice
  | Namespace
  | PeerAuthentication
  | Pod
  | ProxyConfigResource
  | Secret
  | Service
  | ServiceAccount
  | VirtualService
  | WorkloadController;
