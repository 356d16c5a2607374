import { readFileSync } from "node:fs";

/** Linux counts processor time in hundredths of a second for all its programs to read. */
const MS_PER_TICK = 10;

/** Processor time of all threads of a process since its start. */
export function processCpuMs(pid: number | undefined): number {
  // The fields behind the command's name in parentheses: user and system time are the 12th and 13th of them.
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK;
}
