#!/usr/bin/env bash
# Runs the tests named, or with coverage of src all but those that need a node with pods: make test-cluster runs those.
set -euo pipefail
cd "$(dirname "$0")/.."

# Kubernetes is built once, and only for tests that talk to it: all of them, or those named. So is Helm.
case "$*" in
  "" | *test/cluster*) test/cluster/build.sh ;;
  *test/chart*) test/cluster/build.sh helm ;;
esac

# A test that hangs fails; two files at a time suit two cores, and more would only slow each other's timings.
options=(--test-timeout=180000 --test-concurrency=2 --test-reporter=spec --test-reporter-destination=stdout
  --test-reporter=./scripts/skip-reporter.ts --test-reporter-destination=stdout)
if [ $# -gt 0 ]; then
  exec node --test "${options[@]}" "$@"
fi
exec node --test "${options[@]}" --experimental-test-coverage \
  --test-coverage-include='src/**/*.ts' --test-coverage-exclude='src/gen/**' --test-coverage-exclude='**/*.test.ts' \
  'src/**/*.test.ts' 'test/**/!(*.cluster).test.ts'
