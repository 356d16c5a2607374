import { relative } from "node:path";
import { Command } from "commander";
import { analyzeReferences } from "../mesh/analyze.ts";
import { describeObject, type Finding, type Origin } from "../mesh/finding.ts";
import { createSnapshotBuilder } from "../mesh/snapshot.ts";
import { systemClock } from "../platform/clock.ts";
import { createLog } from "../platform/log.ts";
import { createFileSource } from "../sources/file-source.ts";
import { outputOption } from "./output-flag.ts";
import { formatTable } from "./table.ts";

interface AnalyzeFlags {
  readonly file: readonly string[];
  readonly output: "table" | "json";
}

/** `trysail analyze`: prints what is wrong with manifests; exits with 1 where any finding is an error. */
export function analyzeCommand(): Command {
  return new Command("analyze")
    .description("print what is wrong with a folder of manifests; exit 1 where any finding is an error")
    .requiredOption(
      "-f, --file <folder>",
      "manifests; repeat for several, later ones win",
      (folder, before: string[] = []) => [...before, folder],
    )
    .addOption(outputOption())
    .action(analyze);
}

async function analyze({ file, output }: AnalyzeFlags): Promise<void> {
  const { findings, objects } = await findingsOf(file);
  const text = output === "json" ? JSON.stringify(findings, null, 2) : findingsTable(findings, objects);
  process.stdout.write(`${text}\n`);
  if (findings.some(({ severity }) => severity === "error")) process.exitCode = 1;
}

/** Every finding about the folders, the gravest first. */
async function findingsOf(dirs: readonly string[]): Promise<{ findings: Finding[]; objects: number }> {
  const source = createFileSource({ dirs, clock: systemClock, log: createLog("silent") });
  try {
    await source.start();
    const set = source.current();
    const mesh = createSnapshotBuilder("cluster.local").build(set);
    const findings = [...mesh.findings, ...analyzeReferences(set.objects, mesh.config)];
    return { findings: findings.toSorted(byGravity), objects: set.objects.length };
  } finally {
    await source.stop();
  }
}

const GRAVITY = { error: 0, warning: 1, info: 2 } as const;

function byGravity(a: Finding, b: Finding): number {
  return GRAVITY[a.severity] - GRAVITY[b.severity];
}

/** One line for each finding, in columns; and a last one that counts them. */
export function findingsTable(findings: readonly Finding[], objects: number): string {
  const rows = [
    ["SEVERITY", "OBJECT", "FIELD", "MESSAGE", "AT"],
    ...findings.map(({ severity, object, field, message, origin }) => {
      const name = object === undefined ? "-" : describeObject(object);
      return [severity, name, field ?? "-", withoutPrefix(message, `${name}: ${field} `, `${name}: `), place(origin)];
    }),
  ];
  const lines = findings.length === 0 ? [] : [formatTable(rows)];
  const count = (wanted: Finding["severity"], name: string) => {
    const found = findings.filter(({ severity }) => severity === wanted).length;
    return `${found} ${name}${found === 1 ? "" : "s"}`;
  };
  const notes = findings.filter(({ severity }) => severity === "info").length;
  lines.push(
    `${objects} object${objects === 1 ? "" : "s"} in use, ${count("error", "error")}, ${count("warning", "warning")}${notes === 0 ? "" : `, ${count("info", "note")}`}`,
  );
  return lines.join("\n");
}

/** The message without what other columns already say. */
function withoutPrefix(message: string, ...prefixes: string[]): string {
  const prefix = prefixes.find((candidate) => message.startsWith(candidate));
  return prefix === undefined ? message : message.slice(prefix.length);
}

/** `reviews.yaml:2`: file and document. */
function place(origin: Origin | undefined): string {
  if (origin === undefined) return "-";
  const near = relative(process.cwd(), origin.file);
  return `${near.startsWith("..") ? origin.file : near}:${origin.document}`;
}
