import { readFileSync } from "node:fs";

/** What a process holds now (`VmRSS`), or the most that it ever held (`VmHWM`), as the kernel counts it, in MB. */
export function processMemoryMb(pid: number | undefined, field: "VmRSS" | "VmHWM"): number {
  const line = new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  if (line === null) throw new Error("the kernel does not tell how much memory the process holds");
  return Number(line[1]) / 1024;
}
