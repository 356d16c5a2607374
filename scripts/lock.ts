/**
 * Keeps package-lock.json usable everywhere: `node scripts/lock.ts` completes it, `--check` only looks.
 *
 * A package that ships a binary per platform lists them all as optional dependencies. A registry that mirrors only
 * some platforms makes npm leave the others out of the lock, and `npm ci` then refuses that lock. The entries
 * added here name version, system and processor, which is all npm reads before it skips a foreign platform.
 */
import { readFileSync, writeFileSync } from "node:fs";

interface LockEntry {
  version?: string;
  resolved?: string;
  integrity?: string;
  link?: boolean;
  dev?: boolean;
  optional?: boolean;
  os?: string[];
  cpu?: string[];
  libc?: string[];
  optionalDependencies?: Record<string, string>;
}
interface Lock {
  packages: Record<string, LockEntry>;
}

const SYSTEMS = ["aix", "android", "darwin", "freebsd", "linux", "netbsd", "openbsd", "openharmony", "sunos", "win32"];
const PROCESSORS = ["arm64", "arm", "ia32", "loong64", "mips64el", "ppc64", "ppc", "riscv64", "s390x", "x64", "wasm32"];

/** System, processor and C library, as the name of a platform's package ends: `binding-linux-arm64-musl`. */
function platformOf(name: string): Pick<LockEntry, "os" | "cpu" | "libc"> | null {
  const words = name.slice(name.lastIndexOf("/") + 1).split("-");
  const os = words.find((word) => SYSTEMS.includes(word));
  const cpu = words.find((word) => PROCESSORS.includes(word));
  if (cpu === "wasm32") return { cpu: ["wasm32"] };
  if (os === undefined || cpu === undefined) return null;
  const library = words.find((word) => /^(musl|gnu)/.test(word));
  const libc = library === undefined ? {} : { libc: [library.startsWith("musl") ? "musl" : "glibc"] };
  return { os: [os], cpu: [cpu], ...libc };
}

/** Entries that the lock's own packages ask for and the lock does not have. */
function missingPlatforms(lock: Lock): Map<string, LockEntry> {
  const missing = new Map<string, LockEntry>();
  for (const [path, entry] of Object.entries(lock.packages)) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      const nested = `${path}/node_modules/${name}`;
      const hoisted = `node_modules/${name}`;
      if (lock.packages[nested] !== undefined || lock.packages[hoisted] !== undefined) continue;
      const platform = platformOf(name);
      if (platform === null || !/^\d/.test(version)) continue;
      missing.set(hoisted, { version, ...platform, ...(entry.dev ? { dev: true } : {}), optional: true });
    }
  }
  return missing;
}

function problems(lock: Lock): string[] {
  const found = [...missingPlatforms(lock).keys()].map((path) => `${path} is missing`);
  for (const [path, entry] of Object.entries(lock.packages)) {
    if (entry.resolved !== undefined) found.push(`${path} names a registry: run make lock`);
    if (path !== "" && entry.integrity === undefined && entry.os === undefined && entry.cpu === undefined) {
      found.push(`${path} has no integrity hash`);
    }
  }
  return found;
}

const file = new URL("../package-lock.json", import.meta.url);
const lock: Lock = JSON.parse(readFileSync(file, "utf8"));

if (process.argv.includes("--check")) {
  const found = problems(lock);
  for (const problem of found) console.error(`package-lock.json: ${problem}`);
  if (found.length > 0) process.exit(1);
} else {
  for (const [path, entry] of missingPlatforms(lock)) lock.packages[path] = entry;
  const packages = Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  writeFileSync(file, `${JSON.stringify({ ...lock, packages: Object.fromEntries(packages) }, null, 2)}\n`);
}
