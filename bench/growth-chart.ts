import type { Growth, GrowthPoint } from "./growth.ts";

interface Panel {
  readonly title: string;
  readonly unit: string;
  readonly points: readonly GrowthPoint[];
  readonly read: (point: GrowthPoint) => number;
}

const PANEL = { width: 340, height: 200 };
const PLOT = { left: 20, right: 320, top: 50, bottom: 165 };

/** The curves as one SVG: processor time and memory, by services and by proxies. All axes begin at zero. */
export function buildGrowthChart({ byServices, byProxies }: Growth): string {
  const time = { unit: "ms", read: ({ cpuMs }: GrowthPoint) => cpuMs };
  const memory = { unit: "MB", read: ({ peakMb }: GrowthPoint) => peakMb };
  const panels: readonly Panel[] = [
    { title: "Processor ms to sync 100 proxies, by services", points: byServices, ...time },
    { title: "Processor ms to sync all proxies, by proxies", points: byProxies, ...time },
    { title: "MB at the peak with 100 proxies, by services", points: byServices, ...memory },
    { title: "MB at the peak, by proxies", points: byProxies, ...memory },
  ];
  const size = `${PANEL.width * 2} ${PANEL.height * 2}`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size}" font-family="sans-serif" font-size="11">`,
    "<title>What syncing proxies costs as the mesh grows</title>",
    `<rect width="100%" height="100%" fill="#fff"/>`,
    ...panels.map((panel, index) => {
      const [x, y] = [(index % 2) * PANEL.width, Math.floor(index / 2) * PANEL.height];
      return `<g transform="translate(${x} ${y})">\n${drawPanel(panel)}\n</g>`;
    }),
    "</svg>\n",
  ].join("\n");
}

function drawPanel({ title, unit, points, read }: Panel): string {
  const { left, right, top, bottom } = PLOT;
  const widest = Math.max(...points.map(({ count }) => count));
  const highest = Math.max(...points.map(read));
  const placed = points.map((point) => ({
    count: point.count,
    value: read(point),
    x: Math.round(left + (point.count / widest) * (right - left - 20)),
    y: Math.round(bottom - (read(point) / highest) * (bottom - top)),
  }));
  return [
    `<text x="${left}" y="22" font-weight="bold">${title}</text>`,
    `<path d="M${left} ${top}V${bottom}H${right}" fill="none" stroke="#888"/>`,
    `<polyline points="${placed.map(({ x, y }) => `${x},${y}`).join(" ")}" fill="none" stroke="#1565c0" stroke-width="2"/>`,
    ...placed.flatMap(({ count, value, x, y }) => [
      `<circle cx="${x}" cy="${y}" r="3" fill="#1565c0"><title>${count}: ${value.toFixed(0)} ${unit}</title></circle>`,
      `<text x="${x}" y="${y - 8}" text-anchor="middle">${value.toFixed(0)}</text>`,
      `<text x="${x}" y="${bottom + 15}" text-anchor="middle" fill="#555">${count}</text>`,
    ]),
  ].join("\n");
}
