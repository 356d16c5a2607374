import type { WriteStream } from "node:tty";
import { systemClock } from "../platform/clock.ts";
import { printable } from "../platform/printable.ts";
import { exposures } from "./exposures.ts";
import { createLineChanges, resolved } from "./finding-lines.ts";
import { createFindingsView } from "./findings-view.ts";
import { describeChanges, renderTable } from "./live-table.ts";
import { followLogs } from "./log-files.ts";
import type { Node } from "./node.ts";
import type { DevOptions } from "./options.ts";
import { controlPlanePorts } from "./outer.ts";
import { statePaths } from "./state-folder.ts";

const REDRAW_MS = 500;

/** Shows the pods until a stop is asked for: as a table that is drawn in place on a terminal, else as lines of changes. */
export async function stayUp(
  options: DevOptions,
  node: Node,
  complaints: readonly string[],
  stop: AbortSignal,
): Promise<number> {
  const say = (line: string) => process.stdout.write(`${line}\n`);
  for (const line of addresses(options, node)) say(printable(line));
  const terminal = process.stdout.isTTY === true && options.showLog === undefined;
  const end = terminal ? drawTable(node, complaints, process.stdout) : printChanges(options, node, complaints, say);
  await new Promise<void>((resolve) => {
    if (stop.aborted) resolve();
    else stop.addEventListener("abort", () => resolve());
  });
  end();
  say("stopping");
  return 0;
}

function addresses(options: DevOptions, node: Node): string[] {
  const paths = statePaths(options.stateDir);
  const lines = [`state and logs: ${paths.root}`];
  if (options.hostPorts) {
    lines.push("control plane:  http://127.0.0.1:8080 (debug pages: send the token in admin-token as a bearer token)");
    lines.push(
      `other ports:    ${controlPlanePorts(options)
        .filter((port) => port !== 8080)
        .map((port) => `127.0.0.1:${port}`)
        .join(" ")}`,
    );
  }
  for (const { service, namespace, port, hostPort } of exposures(options, node.cluster.services())) {
    lines.push(`service:        http://127.0.0.1:${hostPort} is ${service}.${namespace}:${port}`);
  }
  return lines;
}

/** What is wrong apart from what the findings say. */
function troubles({ controlPlane }: Node, complaints: readonly string[]): string[] {
  const again = controlPlane.restarts > 0 ? ` (start ${controlPlane.restarts + 1})` : "";
  return [...(controlPlane.ready ? [] : [`the control plane is starting${again}`]), ...complaints].map(printable);
}

/** Returns the end of the drawing. */
function drawTable(node: Node, complaints: readonly string[], out: WriteStream): () => void {
  const problems: string[] = [];
  const shownFindings = createFindingsView(systemClock);
  let drawn = 0;
  const draw = () => {
    const [columns, rows] = out.getWindowSize();
    const below = [...troubles(node, [...complaints, ...problems]), ...shownFindings(node.findings())];
    const lines = [
      ...renderTable(node.cluster.pods(), systemClock.now(), columns - 1),
      ...below.map((line) => line.slice(0, columns - 1)),
    ].slice(0, rows - 1);
    out.write(`${drawn > 0 ? `\x1b[${drawn}A` : ""}\x1b[J${lines.map((line) => `${line}\n`).join("")}`);
    drawn = lines.length;
  };
  node.onProblem((message) => void problems.splice(0, problems.length, message));
  node.cluster.onChange(draw);
  const timer = setInterval(draw, REDRAW_MS);
  draw();
  return () => clearInterval(timer);
}

function printChanges(
  options: DevOptions,
  node: Node,
  complaints: readonly string[],
  say: (line: string) => void,
): () => void {
  let pods = new Map<string, string>();
  const [troubleChanges, findingChanges] = [createLineChanges(), createLineChanges()];
  const look = () => {
    const { lines, now } = describeChanges(pods, node.cluster.pods());
    pods = now;
    for (const line of lines) say(line);
    for (const line of troubleChanges(troubles(node, complaints)).appeared) say(line);
    const { appeared, gone } = findingChanges(node.findings());
    for (const line of [...gone.map(resolved), ...appeared]) say(line);
  };
  node.onProblem((message) => say(printable(message)));
  node.cluster.onChange(look);
  look();
  if (options.showLog === undefined) return () => undefined;
  return followLogs(systemClock, statePaths(options.stateDir).logs, options.showLog, (file, line) =>
    say(`${printable(file.replace(/\.log$/, ""))} | ${line}`),
  );
}
