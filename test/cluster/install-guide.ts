import { readFileSync } from "node:fs";
import { parseAllDocuments } from "yaml";
import type { ApplicableObject } from "./mesh-cluster.ts";

const GUIDE = new URL("../../docs/install.md", import.meta.url);

/** The objects of docs/install.md by kind, so that what the guide says is what is tried. */
export function installGuideObjects(): ReadonlyMap<string, ApplicableObject> {
  const blocks = [...readFileSync(GUIDE, "utf8").matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, text = ""]) => text);
  const objects: readonly ApplicableObject[] = blocks
    .flatMap((text) => parseAllDocuments(text))
    .map((document) => document.toJS());
  return new Map(objects.map((object) => [object.kind, object]));
}
