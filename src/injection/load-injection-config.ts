import { readFile } from "node:fs/promises";
import { messageOf, TrysailError } from "../platform/errors.ts";
import { defaultInjectionConfig, type InjectionConfig } from "./injection-config.ts";
import { parseInjectionConfig } from "./parse-injection-config.ts";

/**
 * The settings in a file, without one the defaults. Pods of the control plane's own namespace are never injected.
 *
 * @throws TrysailError `invalid-argument` where the file cannot be read or says what cannot be.
 */
export async function loadInjectionConfig(file: string | null, systemNamespace: string): Promise<InjectionConfig> {
  const config = file === null ? defaultInjectionConfig : await read(file);
  return { ...config, ignoredNamespaces: [...new Set([...config.ignoredNamespaces, systemNamespace])] };
}

async function read(file: string): Promise<InjectionConfig> {
  const text = await readFile(file, "utf8").catch((cause: unknown) => {
    throw new TrysailError("invalid-argument", `--injection-config: ${messageOf(cause)}`, { cause });
  });
  return parseInjectionConfig(text, file);
}
