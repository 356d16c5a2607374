#!/usr/bin/env bash
# Brings what `make bench-istiod` measures beside Trysail into .cache/istiod: istiod, built from its Go module, and its
# injection templates, from the chart in that module. About twenty minutes on two cores, once; then it does nothing.
# Fails where it cannot be had.
set -euo pipefail
cd "$(dirname "$0")/../.."

say() { printf 'istiod: %s\n' "$*" >&2; }

test/cluster/build.sh
mkdir -p .cache/istiod
exec 9>.cache/istiod/lock
flock 9
wanted=$(sha256sum bench/istiod/go.mod)
[ "$(cat .cache/istiod/stamp 2>/dev/null)" = "$wanted" ] && exit
if ! command -v go >/dev/null; then
  say "go is missing to build it: install Go 1.26 or newer"
  exit 1
fi
say "building it (about twenty minutes on two cores, once)"
cd bench/istiod
go build -mod=readonly -buildvcs=false -ldflags "-s -w" -o ../../.cache/istiod/ istio.io/istio/pilot/cmd/pilot-discovery
chart=$(go list -mod=readonly -m -f '{{.Dir}}' istio.io/istio)/manifests/charts/istio-control/istio-discovery
cd ../..
.cache/kubernetes/bin/helm template istiod "$chart" --namespace istio-system \
  --show-only templates/istiod-injector-configmap.yaml >.cache/istiod/injection.yaml
echo "$wanted" >.cache/istiod/stamp
