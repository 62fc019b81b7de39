#!/usr/bin/env bash
# Builds klaxon and runs it.
#
#   ./try.sh                scan the shipped samples and explain what was found
#   ./try.sh ARGS           klaxon ARGS, for example: ./try.sh scan /var/log/kubernetes
#
# On Debian 12 and 13 it first installs what is missing (as root or with sudo).
# What it does goes to stderr; stdout is klaxon's.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=.ci/packages.sh
source "$root/.ci/packages.sh"

build() {
  # Neither tests nor benchmarks: they want packages of their own.
  cd "$root" &&
    cmake --preset release -DKLAXON_TESTS=OFF -DKLAXON_BENCH=OFF &&
    cmake --build --preset release --target klaxon
}

install_missing "${BUILD_PACKAGES[@]}"
if [[ -x $root/build/release/klaxon ]]; then
  step "bringing build/release up to date" build
else
  step "building klaxon, once (some minutes)" build
fi
klaxon=$root/build/release/klaxon
if (($# > 0)); then exec "$klaxon" "$@"; fi

# The gravest alerts in full; the story tells of all.
cd "$root"
say "klaxon scan -c samples/klaxon.yaml --output text --min-severity high samples/logs"
status=0
"$klaxon" scan -c samples/klaxon.yaml --output text --min-severity high samples/logs || status=$?
printf '\nWhat these logs hold, and what rightly raised no alert (samples/README.md):\n\n'
sed -n '/^\*\*/,$p' samples/README.md
printf '\nAll alerts: the same without --min-severity.   Your own logs: ./try.sh scan PATH...\n'
exit "$status"
