#!/usr/bin/env bash
# Brings the Kubernetes control plane that the tests of this folder talk to into .cache/kubernetes/bin: kube-apiserver
# and kube-controller-manager built from their Go modules (about ten minutes on two cores, once), and Debian's etcd.
# Does nothing where they are there, or where KUBEBUILDER_ASSETS names others. What cannot be had is said in one line,
# and the tests that need it are skipped.
#   build.sh        the control plane
#   build.sh helm   Helm
#   build.sh images Helm, kubectl and what the images of make test-cluster are made of; fails where that cannot be had
#   build.sh node   all of it, and what a node needs; fails where that cannot be had
set -euo pipefail
cd "$(dirname "$0")/../.."

say() { printf 'kubernetes: %s\n' "$*" >&2; }

# built STAMP PROGRAM...: brings Kubernetes' own programs, all in one go so that they share what they compile.
built() {
  local stamp=.cache/kubernetes/$1 version flags
  shift
  local programs=("$@")
  version=$(sed -n 's/^require k8s.io\/kubernetes //p' test/cluster/kubernetes/go.mod)
  [ "$(cat "$stamp" 2>/dev/null)" = "$version" ] && return
  if ! command -v go >/dev/null; then
    say "none here: go is missing to build it: install Go 1.24 or newer, or set KUBEBUILDER_ASSETS"
    return 1
  fi
  say "building ${programs[*]} $version (up to ten minutes on two cores, once)"
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
  if ! command -v apt-get >/dev/null || ! fetch "$package" etcd-server; then
    say "none here: etcd is missing, and apt-get could not fetch etcd-server: install etcd, or set KUBEBUILDER_ASSETS"
    return 1
  fi
  dpkg-deb -x "$package"/*.deb "$package"
  mv "$package/usr/bin/etcd" .cache/kubernetes/bin/etcd
  rm -rf "$package"
}

# fetch FOLDER PACKAGE...
fetch() {
  local folder=$1
  shift
  (cd "$folder" && apt-get download -qq "$@" >/dev/null 2>&1) && return
  # Lists of packages may be old, or not there yet; only root can renew them.
  apt-get update -qq >&2 || return 1
  (cd "$folder" && apt-get download -qq "$@" >&2)
}

# installed PROGRAM MODULE@VERSION [LDFLAGS]
installed() {
  local bin=.cache/kubernetes/bin stamp=.cache/kubernetes/$1-stamp
  [ -x "$bin/$1" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$2 ${3:-}" ] && return
  if ! command -v go >/dev/null; then
    say "no $1 here: go is missing to build it: install Go 1.24 or newer"
    return 1
  fi
  say "building $1 ${2#*@} (up to four minutes on two cores, once)"
  if ! GOBIN=$PWD/$bin go install -buildvcs=false -ldflags "-s -w ${3:-}" "$2" >&2; then
    say "no $1 here: go could not build it: see above"
    return 1
  fi
  echo "$2 ${3:-}" >"$stamp"
}

# Without a cluster, Helm takes charts to be for the version that is linked into it.
helm_program() {
  local flags="" package
  for package in chartutil lint/rules; do
    flags+="-X helm.sh/helm/v3/pkg/$package.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/$package.k8sVersionMinor=34 "
  done
  installed helm helm.sh/helm/v3/cmd/helm@v3.19.2 "$flags"
}

# What runs containers, unpacked beside the rest: nothing of it is installed or started on this machine.
node_packages() {
  local packages=(containerd runc containernetworking-plugins busybox-static debootstrap)
  local root=.cache/kubernetes/debian
  [ "$(cat "$root/stamp" 2>/dev/null)" = "${packages[*]}" ] && return
  rm -rf "$root"
  mkdir -p "$root/packages"
  say "${packages[*]} (36 MB, apt-get)"
  if ! command -v apt-get >/dev/null || ! fetch "$root/packages" "${packages[@]}"; then
    say "no node here: apt-get could not fetch ${packages[*]}"
    return 1
  fi
  local package
  for package in "$root"/packages/*.deb; do dpkg-deb -x "$package" "$root"; done
  rm -rf "$root/packages"
  echo "${packages[*]}" >"$root/stamp"
}

# The bottom layer of the images: Debian with the packages that Dockerfile adds as well.
base_image() {
  local root=.cache/kubernetes/base packages mirror
  packages=$(paste -sd, image/packages.txt)
  [ "$(cat "$root.stamp" 2>/dev/null)" = "$packages" ] && return
  # Either file may be missing; without a mirror of this machine's, debootstrap takes Debian's own.
  mirror=$({ cat /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} 2>/dev/null || true; } |
    sed -nE 's/^(URIs: |deb )(http[^ ]*debian)( .*)?$/\2/p' | sed -n 1p)
  say "a Debian to make images of (90 MB, debootstrap, about a minute)"
  rm -rf "$root"
  if ! DEBOOTSTRAP_DIR=$PWD/.cache/kubernetes/debian/usr/share/debootstrap \
    sh .cache/kubernetes/debian/usr/sbin/debootstrap --variant=minbase --include="$packages" bookworm "$root" \
    ${mirror:+"$mirror"} >.cache/kubernetes/debootstrap.log 2>&1; then
    tail -5 .cache/kubernetes/debootstrap.log >&2
    say "no images here: debootstrap failed"
    return 1
  fi
  rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,locale,man} "$root"/proc/* "$root"/sys/* "$root"/dev/*
  echo "$packages" >"$root.stamp"
}

mkdir -p .cache/kubernetes/bin
exec 9>.cache/kubernetes/lock
flock 9
case "${1:-}" in
  helm) helm_program ;;
  images) helm_program && built kubectl-stamp kubectl && node_packages && base_image ;;
  node)
    etcd_server && built stamp kube-apiserver kube-controller-manager &&
      built node-stamp kube-scheduler kubelet kube-proxy && built kubectl-stamp kubectl &&
      installed coredns github.com/coredns/coredns@v1.12.4 && helm_program && node_packages && base_image
    ;;
  *)
    [ -n "${KUBEBUILDER_ASSETS:-}" ] || { etcd_server && built stamp kube-apiserver kube-controller-manager; } || true
    helm_program || true
    ;;
esac
