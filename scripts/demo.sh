#!/usr/bin/env bash
# Runs the bookstore as a mesh and measures it. On a copy, because the demo edits a manifest while it runs; below this
# folder, so that the sample's programs belong to this package.
set -euo pipefail
cd "$(dirname "$0")/.."

mkdir -p .cache
exec 9>.cache/demo.lock
flock -n 9 || {
  echo "demo: another make demo runs in this folder; wait for it or end it" >&2
  exit 1
}
echo "demo: the bookstore as a mesh on this machine" >&2
rm -rf .cache/demo
cp -r examples/bookstore .cache/demo
# A new mesh each time: of an older one's root nobody knows how long its certificates were to live.
rm -rf .cache/demo-state/control-plane
# Certificates that live 20 s show a rotation in half that time. The lock lives as long as the runner does.
exec node src/cli/trysail.ts dev .cache/demo --state-dir .cache/demo-state --once --workload-cert-ttl 20s \
  -- node examples/bookstore/demo.ts
