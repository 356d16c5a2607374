# Sourced: Python's pip, found or brought.

pip() { PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore python3 -m pip "$@"; }

apt_install() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >&2 && apt-get install -y -qq --no-install-recommends "$@" >&2
}

# Succeeds where `pip` works. Debian splits pip from Python: root gets it by apt-get, others are told to, in PIP_MISSING.
find_pip() {
  if ! command -v python3 >/dev/null; then
    PIP_MISSING="python3 is missing: install Python 3"
    return 1
  fi
  pip --version >/dev/null 2>&1 && return
  PIP_MISSING="this Python has no pip, which fetches from PyPI: install python3-pip"
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
  echo "setup: python3-pip (apt-get)" >&2
  apt_install python3-pip && pip --version >/dev/null 2>&1
}
