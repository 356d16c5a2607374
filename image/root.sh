#!/usr/bin/env bash
# Lays out what is Trysail's own in its image, below the folder that is named: the compiled program, the packages that it
# needs in production, and what they are (SPDX). Dockerfile and the tests' images both run this, so they hold the same
# files. Needs node_modules (npm ci). The same sources give the same bytes.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/node_modules/.bin:$PATH"
root=${1:?name a folder}
app=$root/opt/trysail
rm -rf "$root"
mkdir -p "$app" "$root/usr/local/bin"

tsc -p tsconfig.build.json --declaration false --outDir "$app/dist"
cp package.json LICENSE "$app/"
npm ls --omit=dev --all --parseable | sed -n "s#^$PWD/\(node_modules/.*\)#\1#p" | sort -u |
  tar -c --exclude='*/node_modules/*/node_modules' -T - | tar -x -C "$app"
# Types, sources and tests of packages are for those who compile; libraries of Bare, another runtime, are for other machines.
find "$app/node_modules" -type f \
  \( -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' -o -name '*.map' -o -name '*.bare' \) -delete
# Of all packages, since `npm sbom --omit=dev` leaves out those that are needed for development as well.
npm sbom --sbom-format=spdx |
  node -e '
    const { existsSync, readFileSync } = require("node:fs");
    const sbom = JSON.parse(readFileSync(0, "utf8"));
    sbom.packages = sbom.packages.filter(({ packageFileName: at }) => existsSync(`${process.argv[1]}/${at}/package.json`));
    const held = new Set([sbom.SPDXID, ...sbom.packages.map(({ SPDXID }) => SPDXID)]);
    sbom.relationships = sbom.relationships.filter(
      (one) => held.has(one.spdxElementId) && held.has(one.relatedSpdxElement) && !one.relationshipType.startsWith("DEV_"),
    );
    // These two would differ from run to run.
    sbom.creationInfo.created = new Date(Number(process.env.SOURCE_DATE_EPOCH ?? 0) * 1000).toISOString();
    sbom.documentNamespace = sbom.documentNamespace.replace(/-[0-9a-f-]{36}$/, "");
    process.stdout.write(JSON.stringify(sbom));
  ' "$app" >"$app/sbom.spdx.json"
chmod 0755 "$app/dist/cli/trysail.js"
ln -s /opt/trysail/dist/cli/trysail.js "$root/usr/local/bin/trysail"
# Not root's alone, whatever the umask of who builds it.
chmod -R u=rwX,go=rX "$root"
