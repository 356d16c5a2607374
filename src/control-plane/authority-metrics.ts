import { Counter, Gauge, type Registry } from "prom-client";
import type { RotatorMetrics } from "../ca/authority/rotator.ts";
import type { TrustReport } from "../ca/authority/trust-report.ts";
import type { ServingCertificate } from "../ca/serving/serving-certificate.ts";

/** The mesh's authority in Prometheus: when it ends, whether its source can be read, and the steps of rotations. */
export function createAuthorityMetrics(registry: Registry): RotatorMetrics {
  const ends = new Gauge({
    name: "trysail_authority_expiry_timestamp_seconds",
    help: "When the chain of the authority that signs ends, in seconds since the epoch",
    registers: [registry],
  });
  const usable = new Gauge({
    name: "trysail_authority_source_usable",
    help: "1 where the plugged-in authority could be used when it was last read, else 0",
    registers: [registry],
  });
  const steps = new Counter({
    name: "trysail_authority_rotation_steps_total",
    help: "Steps of rotations: prepare, activate, retire",
    labelNames: ["step"],
    registers: [registry],
  });
  const listsUsable = new Gauge({
    name: "trysail_authority_revocation_lists_usable",
    help: "1 where the revocation lists that were read last are in force at every proxy, or there are none, else 0",
    registers: [registry],
  });
  const listsEnd = new Gauge({
    name: "trysail_authority_revocation_lists_expiry_timestamp_seconds",
    help: "When the first of the revocation lists in force ends, in seconds since the epoch; 0 where none does",
    registers: [registry],
  });
  return {
    revocationLists({ usable, notAfter }) {
      listsUsable.set(usable ? 1 : 0);
      listsEnd.set((notAfter ?? 0) / 1000);
    },
    activeEnds: (notAfter) => ends.set(notAfter / 1000),
    sourceUsable: (isUsable) => usable.set(isUsable ? 1 : 0),
    stepped: (kind) => steps.inc({ step: kind }),
  };
}

/** How many proxies hold the next rotation. */
export function recordBehind(registry: Registry, trust: () => TrustReport): void {
  new Gauge({
    name: "trysail_authority_proxies_behind",
    help: "Proxies connected to this replica that have not accepted the trust bundle as it is now",
    registers: [registry],
    collect() {
      const { proxies, acknowledged } = trust();
      this.set(proxies - acknowledged);
    },
  });
}

/** When the certificate ends by which the API server and proxies know this replica. */
export function recordServing(registry: Registry, serving: Pick<ServingCertificate, "current">): void {
  new Gauge({
    name: "trysail_serving_certificate_expiry_timestamp_seconds",
    help: "When the control plane's own certificate ends, in seconds since the epoch; it is renewed at half its life",
    registers: [registry],
    collect() {
      this.set(serving.current().notAfter / 1000);
    },
  });
}
