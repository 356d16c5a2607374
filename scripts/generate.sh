#!/usr/bin/env bash
# Writes src/gen from proto/ and the chart's CRDs from src/mesh, or with --check shows how they differ from what would
# be written.
set -euo pipefail
cd "$(dirname "$0")/.."
node scripts/generate-crds.ts "$@"
# shellcheck source=scripts/python.sh
source scripts/python.sh

python=.cache/gen/python
if [ "$(cat "$python/stamp" 2>/dev/null)" != "$(sha256sum proto/requirements.txt)" ]; then
  find_pip || {
    echo "gen: $PIP_MISSING" >&2
    exit 1
  }
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
    echo "gen: $(python3 --version) is too old for the pinned protobuf: install Python 3.10 or newer" >&2
    exit 1
  }
  rm -rf "$python"
  pip install --quiet --no-deps --only-binary=:all: --require-hashes --target "$python" -r proto/requirements.txt
  sha256sum proto/requirements.txt >"$python/stamp"
fi

out=.cache/gen/out
rm -rf "$out"
mkdir -p "$out"
PYTHONPATH=$python python3 proto/generate.py "$out" node_modules/.bin/node node_modules/.bin/protoc-gen-es
if [ "${1:-}" = --check ]; then
  diff -r src/gen "$out" || {
    echo "gen: src/gen is not what proto/ says: run make gen" >&2
    exit 1
  }
else
  rm -rf src/gen
  mv "$out" src/gen
fi
