import type { MeshConfig } from "../mesh/mesh-config.ts";
import { createOutboundFetch } from "../platform/outbound-fetch.ts";
import type { Platform } from "../platform/platform.ts";
import type { WorkloadSecrets } from "../sds/workload-secrets.ts";
import { createForeignBundles } from "./foreign-bundles.ts";

export interface FederationDeps {
  readonly platform: Platform;
  readonly trustDomain: string;
  readonly secrets: Pick<WorkloadSecrets, "setFederation">;
  meshConfig(): MeshConfig;
}

/** Keeps what proxies accept of other trust domains as the mesh config says. Call `meshChanged` behind each change of it. */
export function startFederation({ platform, trustDomain, secrets, meshConfig }: FederationDeps) {
  const update = () => {
    const { trustDomainAliases, foreignAuthorities } = meshConfig();
    bundles.follow(foreignAuthorities);
    const ownDomains = [trustDomain, ...trustDomainAliases];
    const isAlone = foreignAuthorities.length === 0;
    secrets.setFederation(isAlone ? null : { ownDomains, foreign: bundles.current() });
  };
  const bundles = createForeignBundles({ ...platform, fetch: createOutboundFetch(), onChange: update });
  update();
  return { meshChanged: update, stop: () => bundles.stop() };
}
