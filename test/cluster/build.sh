#!/usr/bin/env bash
# Brings the Kubernetes control plane that the tests of this folder talk to into .cache/kubernetes/bin: kube-apiserver
# and kube-controller-manager built from their Go modules (about ten minutes on two cores, once), and Debian's etcd.
# Does nothing where they are there, or where KUBEBUILDER_ASSETS names others. What cannot be had is said in one line,
# and the tests that need it are skipped.
set -euo pipefail
cd "$(dirname "$0")/../.."

say() { printf 'kubernetes: %s\n' "$*" >&2; }

control_plane() {
  local stamp=.cache/kubernetes/stamp version flags
  local programs=(kube-apiserver kube-controller-manager)
  version=$(sed -n 's/^require k8s.io\/kubernetes //p' test/cluster/kubernetes/go.mod)
  [ "$(cat "$stamp" 2>/dev/null)" = "$version" ] && return
  if ! command -v go >/dev/null; then
    say "none here: go is missing to build it: install Go 1.24 or newer, or set KUBEBUILDER_ASSETS"
    return 1
  fi
  say "building $version (about ten minutes on two cores, once)"
  flags="-s -w -X k8s.io/component-base/version.gitVersion=$version"
  flags+=" -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=${version:3:2}"
  if ! (cd test/cluster/kubernetes &&
    go build -mod=readonly -buildvcs=false -ldflags "$flags" -o ../../../.cache/kubernetes/bin/ \
      "${programs[@]/#/k8s.io/kubernetes/cmd/}") >&2; then
    say "none here: go could not build it: see above"
    return 1
  fi
  echo "$version" >"$stamp"
}

# Unpacked rather than installed: the package would start a server.
etcd_server() {
  [ -x .cache/kubernetes/bin/etcd ] && return
  if command -v etcd >/dev/null; then
    ln -sf "$(command -v etcd)" .cache/kubernetes/bin/etcd
    return
  fi
  local package=.cache/kubernetes/package
  rm -rf "$package"
  mkdir -p "$package"
  say "etcd (apt-get)"
  if ! command -v apt-get >/dev/null || ! fetch_etcd "$package"; then
    say "none here: etcd is missing, and apt-get could not fetch etcd-server: install etcd, or set KUBEBUILDER_ASSETS"
    return 1
  fi
  dpkg-deb -x "$package"/*.deb "$package"
  mv "$package/usr/bin/etcd" .cache/kubernetes/bin/etcd
  rm -rf "$package"
}

fetch_etcd() {
  (cd "$1" && apt-get download -qq etcd-server >/dev/null 2>&1) && return
  # Lists of packages may be old, or not there yet; only root can renew them.
  apt-get update -qq >&2 || return 1
  (cd "$1" && apt-get download -qq etcd-server >&2)
}

[ -z "${KUBEBUILDER_ASSETS:-}" ] || exit 0
mkdir -p .cache/kubernetes/bin
exec 9>.cache/kubernetes/lock
flock 9
etcd_server && control_plane || true
