import type { MeshService } from "../mesh/mesh-service.ts";
import type { MeshSnapshot } from "../mesh/snapshot.ts";
import { exportedTo, visibleFrom } from "../mesh/visibility.ts";

/** By host name. Of several with one name, the one of the caller's own namespace, else the first. */
export function visibleServices(
  { services, config }: Pick<MeshSnapshot, "services" | "config">,
  namespace: string,
): Map<string, MeshService> {
  const visible = new Map<string, MeshService>();
  for (const service of services) {
    const known = visible.get(service.hostname);
    if (known !== undefined && (known.namespace === namespace || service.namespace !== namespace)) continue;
    // By a further name nobody reaches what is hidden under its own.
    const shown = service.standsFor === null ? [service] : [service, service.standsFor];
    const isShown = ({ namespace: owner, exportTo }: MeshService) =>
      visibleFrom(namespace, owner, exportedTo(exportTo, config.defaultServiceExportTo));
    if (shown.every(isShown)) visible.set(service.hostname, service);
  }
  return visible;
}

/** One of them alone. */
export function findVisibleService(mesh: MeshSnapshot, namespace: string, hostname: string): MeshService | undefined {
  const services = mesh.services.filter((service) => service.hostname === hostname);
  return visibleServices({ services, config: mesh.config }, namespace).get(hostname);
}
