import { readdirSync, readFileSync } from "node:fs";

/** How many threads of this process have a name, as the kernel counts them. */
export function threadsNamed(name: string): number {
  return readdirSync("/proc/self/task").filter((id) => nameOf(id) === name).length;
}

function nameOf(id: string): string | undefined {
  try {
    return readFileSync(`/proc/self/task/${id}/comm`, "utf8").trim();
  } catch {
    return undefined; // ended meanwhile
  }
}
