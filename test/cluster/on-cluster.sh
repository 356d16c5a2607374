#!/usr/bin/env bash
# Runs a command beside a real cluster that has images made from this tree, by default a node of its own that ends with
# the command. Another cluster is taken as it is:
#   KUBECONFIG=… IMAGE_LOADER=… on-cluster.sh COMMAND [ARGUMENT...]
# where IMAGE_LOADER is a command that loads what `docker save` writes, from its standard input. The command finds the
# cluster's kubeconfig in TRYSAIL_TEST_CLUSTER.
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ "${1:-}" = inside ]; then
  shift
  # Split into words as a shell would: it is a command with arguments.
  node test/cluster/node/image-archive.ts | bash -c "$IMAGE_LOADER" >/dev/null
  export TRYSAIL_TEST_CLUSTER=$KUBECONFIG
  exec "$@"
fi

if [ -n "${KUBECONFIG:-}" ]; then
  if [ -z "${IMAGE_LOADER:-}" ]; then
    echo "cluster: KUBECONFIG names a cluster, so IMAGE_LOADER must say how images come there, such as" >&2
    echo "  IMAGE_LOADER='kind load image-archive /dev/stdin'; to use a node of its own, unset KUBECONFIG" >&2
    exit 1
  fi
  test/cluster/build.sh images
  image/root.sh .cache/kubernetes/images/trysail
  exec "$0" inside "$@"
fi
test/cluster/build.sh node
image/root.sh .cache/kubernetes/images/trysail
exec test/cluster/node/run.sh "$0" inside "$@"
