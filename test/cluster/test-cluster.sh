#!/usr/bin/env bash
# `make test-cluster`: runs the tests that need a cluster with nodes (on-cluster.sh says which one), or TESTS="FILE ..."
# alone. A cluster of another's is left without Trysail.
set -euo pipefail
cd "$(dirname "$0")/../.."

# shellcheck disable=SC2086 # Files, one word each.
exec test/cluster/on-cluster.sh node --test --test-concurrency=1 --test-timeout=900000 \
  --test-reporter=spec --test-reporter-destination=stdout \
  --test-reporter=./scripts/skip-reporter.ts --test-reporter-destination=stdout ${TESTS:-test/cluster/*.cluster.test.ts}
