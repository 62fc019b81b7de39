# shellcheck shell=bash disable=SC2034
# Sourced by try.sh and test.sh: Debian packages, and one line a step.

# The package of Boost that this Debian has: 1.81 on 12, 1.83 on 13.
boost_package() {
  local release=12
  if [[ -r /etc/os-release ]]; then
    release=$(. /etc/os-release && printf '%s' "${VERSION_ID:-13}")
  fi
  if ((${release%%.*} <= 12)); then printf 'libboost1.81-dev'; else printf 'libboost1.83-dev'; fi
}

# What Klaxon is built of. Versions: cmake/Dependencies.cmake.
BUILD_PACKAGES=(
  cmake ninja-build g++ ccache pkg-config
  libsimdjson-dev libabsl-dev libfmt-dev libspdlog-dev libyaml-cpp-dev
  libcli11-dev libssl-dev libzstd-dev libisal-dev libarchive-dev libxxhash-dev
  libsqlite3-dev libcurl4-openssl-dev librdkafka-dev prometheus-cpp-dev
  "$(boost_package)"
  libgtest-dev libgmock-dev
)
# What the checks need besides.
TEST_PACKAGES=(
  clang-19 clang-tidy-19 clang-format-19 libclang-rt-19-dev
  python3 python3-yaml git gzip zstd xz-utils bzip2 openssl
  default-jre-headless maven perl # tests/kafka
  prometheus prometheus-alertmanager # tests/deploy; promtool
)

say() { printf '== %s\n' "$*" >&2; }

# step NAME COMMAND…: says what it does; shows the output only if it fails.
step() {
  local name=$1 log begin=$SECONDS
  shift
  say "$name"
  log=$(mktemp)
  if "$@" >"$log" 2>&1 </dev/null; then
    say "   done in $((SECONDS - begin)) s"
    rm -f "$log"
    return 0
  fi
  tail -n 200 "$log" >&2
  say "   FAILED: $name"
  rm -f "$log"
  return 1
}

# install_missing PACKAGE…: nothing to do, nothing done.
install_missing() {
  if ! command -v dpkg-query >/dev/null; then
    say "this is no Debian: see to it yourself that these are here: $*"
    return 0
  fi
  local package missing=() sudo=()
  for package in "$@"; do
    if [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) != installed ]]; then
      missing+=("$package")
    fi
  done
  if ((${#missing[@]} == 0)); then return 0; fi
  if ((EUID != 0)); then
    if ! command -v sudo >/dev/null; then
      say "neither root nor sudo; as root, run: apt-get install ${missing[*]}"
      return 1
    fi
    sudo=(sudo)
  fi
  step "apt-get update" "${sudo[@]}" apt-get update
  step "installing ${missing[*]}" "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install --yes --no-install-recommends "${missing[@]}"
}
