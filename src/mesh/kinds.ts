import type { AuthorizationPolicy } from "./istio/authorization-policy.ts";
import type { DestinationRule } from "./istio/destination-rule.ts";
import type { Gateway } from "./istio/gateway.ts";
import type { PeerAuthentication } from "./istio/peer-authentication.ts";
import type { ProxyConfigResource } from "./istio/proxy-config.ts";
import type { ServiceEntry } from "./istio/service-entry.ts";
import type { Sidecar } from "./istio/sidecar.ts";
import type { VirtualService } from "./istio/virtual-service.ts";
import type { WorkloadEntry } from "./istio/workload-entry.ts";
import type { WorkloadGroup } from "./istio/workload-group.ts";
import type {
  ConfigMap,
  EndpointSlice,
  Namespace,
  Node,
  Pod,
  Secret,
  Service,
  ServiceAccount,
  WorkloadController,
} from "./kubernetes/core.ts";
import type { RateLimit } from "./trysail/rate-limit.ts";

/** Every kind of object the mesh reads, told apart by `kind`. */
export type KnownObject =
  | AuthorizationPolicy
  | ConfigMap
  | DestinationRule
  | EndpointSlice
  | Gateway
  | Namespace
  | Node
  | PeerAuthentication
  | Pod
  | ProxyConfigResource
  | RateLimit
  | Secret
  | Service
  | ServiceAccount
  | ServiceEntry
  | Sidecar
  | VirtualService
  | WorkloadController
  | WorkloadEntry
  | WorkloadGroup;
