import { apiServerVersion } from "./api-server-version.ts";
import { authority } from "./authority.ts";
import { certificates } from "./certificates.ts";
import type { Check } from "./check.ts";
import { clockSkew } from "./clock-skew.ts";
import { configuration } from "./configuration.ts";
import { controlPlane } from "./control-plane.ts";
import { customResources } from "./custom-resources.ts";
import { injection } from "./injection.ts";
import { installedControlPlanes } from "./installed-control-planes.ts";
import { interception } from "./interception.ts";
import { meshConfig } from "./mesh-config.ts";
import { namespaces } from "./namespaces.ts";
import { otherMeshes } from "./other-meshes.ts";
import { permissions } from "./permissions.ts";
import { remoteClusters } from "./remote-clusters.ts";
import { servingCertificate } from "./serving-certificate.ts";
import { validation } from "./validation.ts";

/** In the order in which they are asked and shown: what others rest on comes first. */
export const checks: readonly Check[] = [
  apiServerVersion,
  clockSkew,
  permissions,
  customResources,
  configuration,
  installedControlPlanes,
  otherMeshes,
  namespaces,
  interception,
  controlPlane,
  meshConfig,
  remoteClusters,
  authority,
  certificates,
  servingCertificate,
  injection,
  validation,
];
