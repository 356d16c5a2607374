/** What a case has to reach on a mesh of 1,000 services with 5 endpoints, on two cores: now, and in the end. */
export interface Target {
  readonly now: number | null;
  /** Null where a figure is only to compare others with. */
  readonly final: number | null;
  readonly unit: "ms" | "µs" | "MB" | "/s" | "×";
  /** The larger the better. */
  readonly isFloor?: boolean;
}

export const TARGETS = {
  firstProxy: { now: 150, final: 80, unit: "ms" },
  hundredProxies: { now: 2000, final: 1200, unit: "ms" },
  threeHundredProxies: { now: 4000, final: 4000, unit: "ms" },
  endpointChange: { now: 100, final: 60, unit: "ms" },
  routeChange: { now: 500, final: 250, unit: "ms" },
  /** Processor time, without files and streams. */
  firstTranslation: { now: 480, final: 430, unit: "ms" },
  translation: { now: 15, final: 15, unit: "ms" },
  reviews: { now: 5500, final: 5500, unit: "/s", isFloor: true },
  /** One core, whatever else the machine does meanwhile. */
  reviewCpu: { now: 180, final: 180, unit: "µs" },
  reviewTime: { now: 15, final: 15, unit: "ms" },
  reviewTimeBusy: { now: 100, final: 100, unit: "ms" },
  /** None: what is left is the programs that the engine compiles, and pages that it has not given back. */
  heapGrowth: { now: 3, final: 3, unit: "MB" },
  rssGrowth: { now: 25, final: 25, unit: "MB" },
  certificates: { now: 5000, final: 5000, unit: "/s", isFloor: true },
  bareServer: { now: null, final: null, unit: "/s", isFloor: true },
  bareServerCpu: { now: null, final: null, unit: "µs" },
  probe: { now: 50, final: 50, unit: "ms" },
  certificatesHttp: { now: 4000, final: 4000, unit: "/s", isFloor: true },
  certificateTime: { now: 20, final: 20, unit: "ms" },
  /** One core. */
  certificateCpu: { now: 200, final: 200, unit: "µs" },
  validation: { now: 20, final: 20, unit: "ms" },
  /** A thirtieth more than the time over which they are spread. */
  renewals: { now: 31_000, final: 31_000, unit: "ms" },
  renewalLag: { now: 50, final: 50, unit: "ms" },
  peakMemory: { now: 400, final: 400, unit: "MB" },
  /** In front of a real API server. */
  ready: { now: 3000, final: 3000, unit: "ms" },
  clusterSync: { now: 5000, final: 5000, unit: "ms" },
  applied: { now: 1000, final: 1000, unit: "ms" },
  /** Of the container runtime and the kubelet alone: what a sidecar's share is compared with. */
  plainPod: { now: null, final: null, unit: "ms" },
  podStart: { now: 1000, final: 1000, unit: "ms" },
  restMemory: { now: 150, final: 150, unit: "MB" },
  /** Of twice the mesh, and of three times the proxies. */
  twice: { now: 2.2, final: 2.2, unit: "×" },
  thrice: { now: 3.3, final: 3.3, unit: "×" },
  /** A little less than is tried: the client's own pauses are in it. */
  changes: { now: 950, final: 950, unit: "/s", isFloor: true },
  lastChange: { now: 1000, final: 1000, unit: "ms" },
} as const satisfies Record<string, Target>;

export interface Measurement {
  readonly name: string;
  readonly value: number;
  readonly target: Target;
}

/** One aligned line per measurement, with a mark against each target. */
export function buildTable(measurements: readonly Measurement[]): string {
  const rows = measurements.map(({ name, value, target }) => [
    name,
    `${value.toFixed(target.unit === "×" ? 1 : 0)} ${target.unit}`,
    against(value, target.now, target),
    against(value, target.final, target),
  ]);
  const all = [["", "measured", "target", "final target"], ...rows];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all.map((row) => row.map((cell, column) => pad(cell, widths[column] ?? 0, column)).join("  ")).join("\n");
}

function against(value: number, limit: number | null, { unit, isFloor = false }: Target): string {
  if (limit === null) return "";
  const isReached = isFloor ? value >= limit : value <= limit;
  return `${isReached ? "✓" : "✗"} ${isFloor ? "≥" : "≤"} ${limit} ${unit}`;
}

function pad(cell: string, width: number, column: number): string {
  return column === 0 ? cell.padEnd(width) : cell.padStart(width);
}
