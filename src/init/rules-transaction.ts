/** Rules by the table they are in, as `iptables-restore` reads them. */
export type Rules = Readonly<Record<Table, readonly string[]>>;

const tables = ["raw", "mangle", "nat"] as const;
type Table = (typeof tables)[number];

export const noRules: Rules = { raw: [], mangle: [], nat: [] };

/** One transaction a table for `iptables-restore --noflush`: all of it happens or none. */
export function rulesTransaction(...parts: readonly Rules[]): string {
  return tables
    .map((table) => [table, parts.flatMap((rules) => rules[table])] as const)
    .filter(([, lines]) => lines.length > 0)
    .map(([table, lines]) => [`*${table}`, ...lines, "COMMIT", ""].join("\n"))
    .join("");
}

/**
 * What takes away whatever rules of ours `saved`, the output of `iptables-save`, shows.
 * In the same transaction, new ones may follow.
 */
export function buildRemoval(saved: string): Rules {
  const found: Record<Table, readonly string[]> = { ...noRules };
  for (const part of saved.split(/^(?=\*)/m)) {
    const table = tables.find((name) => part.startsWith(`*${name}\n`));
    if (table !== undefined) found[table] = tableRemoval(part.split("\n"));
  }
  return found;
}

function tableRemoval(lines: readonly string[]): readonly string[] {
  const leads = lines.filter((line) => /^-A (?!ISTIO_)/.test(line) && (leadsToUs(line) || line.endsWith(OUR_ZONE)));
  const present = lines.flatMap((line) => /^:(ISTIO_\w+) /.exec(line)?.slice(1, 2) ?? []);
  if (present.length === 0) return [];
  return [
    ...leads.map((line) => line.replace(/^-A/, "-D")),
    ...present.map((chain) => `-F ${chain}`),
    ...present.map((chain) => `-X ${chain}`),
  ];
}

/** The one rule of ours that is in a chain of the system and leads to none of ours. */
const OUR_ZONE = "! -i lo -p udp -m udp --sport 53 -j CT --zone 1";

function leadsToUs(line: string): boolean {
  return / -j ISTIO_\w+$/.test(line);
}
