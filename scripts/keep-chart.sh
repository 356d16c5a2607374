#!/usr/bin/env bash
# Packs the chart as it was at a git revision, a release's tag, into test/chart/earlier, from which the tests upgrade to
# today's: a clone may hold no history. The same revision gives the same objects, whoever packs it.
#   keep-chart.sh REVISION
set -euo pipefail
cd "$(dirname "$0")/.."
revision=${1:?name a git revision}
test/cluster/build.sh helm
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
git archive "$revision" charts/trysail | tar -x -C "$scratch"
.cache/kubernetes/bin/helm package "$scratch/charts/trysail" --destination test/chart/earlier
