#!/usr/bin/env bash
# Runs a command beside a real one-node Kubernetes of its own: etcd, kube-apiserver, controller-manager, scheduler,
# kubelet on containerd and runc, kube-proxy, CoreDNS. All of it lives in namespaces of this call and ends with it,
# however it ends: no rule, mount, process or address is left on the machine. Needs root.
#   run.sh COMMAND [ARGUMENT...]    with KUBECONFIG and IMAGE_LOADER set
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=$(cd "$here/../../.." && pwd)/.cache/kubernetes
run=$cache/run
export PATH="$PATH:/usr/sbin:/sbin"

[ "$(id -u)" = 0 ] || {
  echo "node: only root can run one: use sudo, or a cluster of yours (KUBECONFIG, IMAGE_LOADER)" >&2
  exit 1
}

# What a killed call could not take away itself. A control group is empty once its processes have ended.
clean() {
  rm -rf "$run"
  local group tries
  for group in /sys/fs/cgroup/*/trysail-test-node /sys/fs/cgroup/trysail-test-node; do
    [ -d "$group" ] || continue
    for tries in 1 2 3 4 5; do
      find "$group" -depth -type d -exec rmdir {} + 2>/dev/null && break
      sleep 0.2
    done
  done
}

mkdir -p "$cache"
exec 8>"$cache/node.lock"
flock 8
clean
trap clean EXIT
mkdir -p "$run"
# A child and no exec, so that the trap runs; if this shell is killed, the kernel kills the child, and with it the node.
setpriv --pdeathsig KILL unshare --net --mount --ipc --uts --pid --fork --kill-child --mount-proc "$here/up.sh" "$run" "$@" 8>&- &
child=$!
trap 'kill -9 "$child" 2>/dev/null' INT TERM
result=0
wait "$child" || result=$?
exit "$result"
