import { compareText } from "../../mesh/object.ts";
import type { EncodedResource } from "../../xds/resource-set.ts";
import type { EncodedVirtualHost } from "./virtual-host.ts";

/** Collects the virtual hosts of route tables. A domain that an earlier host has is left to it: Envoy takes only one. */
export interface RouteTables {
  /** Adds what `build` makes without the domains that are `taken` (separated by commas); null is nothing. */
  add(table: string, build: (taken: string) => EncodedVirtualHost | null): void;
  build(buildTable: (name: string, hosts: readonly EncodedVirtualHost[]) => EncodedResource): EncodedResource[];
}

export function createRouteTables(): RouteTables {
  const tables = new Map<string, { readonly hosts: EncodedVirtualHost[]; readonly taken: Set<string> }>();
  return {
    add(name, build) {
      let table = tables.get(name);
      if (table === undefined) {
        table = { hosts: [], taken: new Set() };
        tables.set(name, table);
      }
      const { hosts, taken } = table;
      let host = build("");
      if (host?.domains.some((domain) => taken.has(domain))) {
        host = build(host.domains.filter((domain) => taken.has(domain)).join(","));
      }
      if (host === null) return;
      hosts.push(host);
      for (const domain of host.domains) taken.add(domain);
    },
    build: (buildTable) =>
      [...tables].sort(([a], [b]) => compareText(a, b)).map(([name, { hosts }]) => buildTable(name, hosts)),
  };
}
