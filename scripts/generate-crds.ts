/**
 * Writes the CustomResourceDefinitions of the chart from the schemas of src/mesh, or with --check shows which of them
 * are not what would be written.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import { kindSchemas } from "../src/mesh/schemas.ts";
import { buildCustomResourceDefinition } from "./crd/custom-resource-definition.ts";

const FOLDER = fileURLToPath(new URL("../charts/trysail/files/crds/", import.meta.url));
const HEADER = "# Made from src/mesh by `make gen`: do not edit.\n";

const files = new Map<string, string>();
for (const entry of kindSchemas.filter(({ istio }) => istio)) {
  // Without anchors: not every reader of YAML has them.
  const text = stringify(buildCustomResourceDefinition(entry), { aliasDuplicateObjects: false, lineWidth: 120 });
  files.set(`${entry.kind.toLowerCase()}.yaml`, HEADER + text);
}

if (process.argv[2] === "--check") {
  const names = new Set([...files.keys(), ...readdirSync(FOLDER)]);
  const differing = [...names].filter((name) => files.get(name) !== written(name)).toSorted();
  if (differing.length > 0) {
    process.stderr.write(
      `gen: charts/trysail/files/crds is not what src/mesh says (${differing.join(", ")}): run make gen\n`,
    );
    process.exitCode = 1;
  }
} else {
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  for (const [name, text] of files) writeFileSync(FOLDER + name, text);
}

function written(name: string): string | undefined {
  try {
    return readFileSync(FOLDER + name, "utf8");
  } catch {
    return undefined;
  }
}
