#!/usr/bin/env bash
# `make test-cluster`: loads images made from this tree into a cluster and runs the tests that need one, by default a
# node of its own that ends with them. Another cluster is taken as it is, and left without Trysail:
#   KUBECONFIG=… IMAGE_LOADER=… make test-cluster
# where IMAGE_LOADER is a command that loads what `docker save` writes, from its standard input.
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ "${1:-}" = inside ]; then
  # Split into words as a shell would: it is a command with arguments.
  node test/cluster/node/image-archive.ts | bash -c "$IMAGE_LOADER" >/dev/null
  export TRYSAIL_TEST_CLUSTER=$KUBECONFIG
  exec node --test --test-concurrency=1 --test-timeout=600000 --test-reporter=spec --test-reporter-destination=stdout \
    --test-reporter=./scripts/skip-reporter.ts --test-reporter-destination=stdout ${TESTS:-test/cluster/*.cluster.test.ts}
fi

if [ -n "${KUBECONFIG:-}" ]; then
  if [ -z "${IMAGE_LOADER:-}" ]; then
    echo "test-cluster: KUBECONFIG names a cluster, so IMAGE_LOADER must say how images come there, such as" >&2
    echo "  IMAGE_LOADER='kind load image-archive /dev/stdin'; to use a node of its own, unset KUBECONFIG" >&2
    exit 1
  fi
  test/cluster/build.sh images
  image/root.sh .cache/kubernetes/images/trysail
  exec "$0" inside
fi
test/cluster/build.sh node
image/root.sh .cache/kubernetes/images/trysail
exec test/cluster/node/run.sh "$0" inside
