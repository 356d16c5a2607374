import { compareText } from "../../mesh/object.ts";
import type { EncodedResource } from "../../xds/resource-set.ts";
import type { EncodedVirtualHost } from "./virtual-host.ts";

/** Collects the virtual hosts of route tables. A domain that an earlier host has is left to it: Envoy takes only one. */
export interface RouteTables {
  /** Adds what `build` makes without the domains that are `taken` (separated by commas); null is nothing. */
  add(table: string, build: (taken: string) => EncodedVirtualHost | null): void;
  /** As `add`, but no reason for the table to be there. */
  claim(table: string, build: (taken: string) => EncodedVirtualHost | null): void;
  build(buildTable: (name: string, hosts: readonly EncodedVirtualHost[]) => EncodedResource): EncodedResource[];
}

export function createRouteTables(): RouteTables {
  const tables = new Map<string, Table>();
  const tableOf = (name: string) => {
    let table = tables.get(name);
    if (table === undefined) {
      table = { hosts: [], taken: new Set(), isWanted: false };
      tables.set(name, table);
    }
    return table;
  };
  return {
    add(name, build) {
      const table = tableOf(name);
      table.isWanted = true;
      addHost(table, build);
    },
    claim: (name, build) => addHost(tableOf(name), build),
    build: (buildTable) =>
      [...tables]
        .filter(([, { isWanted }]) => isWanted)
        .sort(([a], [b]) => compareText(a, b))
        .map(([name, { hosts }]) => buildTable(name, hosts)),
  };
}

interface Table {
  readonly hosts: EncodedVirtualHost[];
  readonly taken: Set<string>;
  isWanted: boolean;
}

function addHost({ hosts, taken }: Table, build: (taken: string) => EncodedVirtualHost | null): void {
  let host = build("");
  if (host?.domains.some((domain) => taken.has(domain))) {
    host = build(host.domains.filter((domain) => taken.has(domain)).join(","));
  }
  if (host === null) return;
  hosts.push(host);
  for (const domain of host.domains) taken.add(domain);
}
