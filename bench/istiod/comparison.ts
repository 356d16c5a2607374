/** What was measured of one control plane. Of times and memory less is better, of rates more. */
export interface Figure {
  readonly name: string;
  readonly unit: "ms" | "MB" | "/s";
  readonly value: number;
}

/** An aligned line per figure: istiod's, Trysail's, and how many times better Trysail's is. */
export function buildComparison(istiod: readonly Figure[], trysail: readonly Figure[]): string {
  const rows = istiod.map(({ name, unit, value }) => {
    const own = trysail.find((figure) => figure.name === name)?.value ?? Number.NaN;
    const better = unit === "/s" ? own / value : value / own;
    return [name, `${value.toFixed(0)} ${unit}`, `${own.toFixed(0)} ${unit}`, `${better.toFixed(1)} ×`];
  });
  const all = [["", "istiod", "Trysail", "better by"], ...rows];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const pad = (cell: string, column: number) =>
    column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0);
  return all.map((row) => row.map(pad).join("  ")).join("\n");
}
