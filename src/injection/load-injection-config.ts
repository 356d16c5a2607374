import { readFile } from "node:fs/promises";
import { messageOf, TrysailError } from "../platform/errors.ts";
import { defaultInjectionConfig, type InjectionConfig } from "./injection-config.ts";
import { parseInjectionConfig } from "./parse-injection-config.ts";

/** @throws TrysailError `invalid-argument` where the file cannot be read or says what cannot be. */
export async function loadInjectionConfig(file: string | null): Promise<InjectionConfig> {
  if (file === null) return defaultInjectionConfig;
  const text = await readFile(file, "utf8").catch((cause: unknown) => {
    throw new TrysailError("invalid-argument", `--injection-config: ${messageOf(cause)}`, { cause });
  });
  return parseInjectionConfig(text, file);
}
