#!/usr/bin/env bash
# Builds Klaxon and passes the whole test suite: what CI runs.
#
#   ./test.sh           format, build, tests; the tests again under ASan + UBSan,
#                       the threaded ones under TSan; clang-tidy; a minute of fuzzing
#   ./test.sh --quick   format, build, tests
#
# On Debian 12 and 13 it first installs what is missing (as root or with sudo).
# A step is run even if another one failed, unless it needs what that one
# builds; the last lines are ctest's.
# KLAXON_FUZZ_SECONDS (60, each fuzzer), KLAXON_TIDY_SECONDS (600, all files).
# After KLAXON_TEST_MINUTES (35) no further sanitizer or tidy step is begun; each
# that is left out is named.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source .ci/packages.sh

quick=false
case "${1-}" in
  '') ;;
  --quick) quick=true ;;
  *)
    sed -n '2,12s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac

jobs=$(nproc)
failed=()
flaky=()
mkdir -p build
# Debian 13's prebuilt Abseil does not know of poisoned hash tables.
export ASAN_OPTIONS=allow_user_poisoning=0
export UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
rm -f build/ctest-*.log
attempt() {
  if step "$@"; then return 0; fi
  failed+=("$1")
  return 1
}

# in_time NAME: there is time to begin it.
in_time() {
  if ((SECONDS < 60 * ${KLAXON_TEST_MINUTES:-35})); then return 0; fi
  say "LEFT OUT for want of time: $1"
  return 1
}

check_format() {
  local bad
  # The places in a file say little, its name all that is needed.
  bad=$(find . -path ./build -prune -o \( -name '*.h' -o -name '*.cc' \) -print0 | sort -z |
    xargs -0 clang-format-19 --dry-run 2>&1 |
    sed -n 's/^\([^:]*\):.*-Wclang-format-violations.*/\1/p' | sort -u)
  if [[ -n $bad ]]; then
    printf 'not formatted; run clang-format-19 -i on:\n%s\n' "$bad"
    return 1
  fi
}

build() {
  # No set -e here: a function that runs under "if" has none.
  cmake --preset "$1" &&
    cmake --build --preset "$1" -j "$jobs" ${2:+--target "${@:2}"}
}

# kafka.real kills a real broker, which comes back when it likes: if it alone
# failed it gets one more try, and both are told at the end.
run_ctest() {
  local log=build/ctest-$1.log
  if ctest --test-dir "build/$1" -j "$jobs" --output-on-failure --no-tests=error |
    tee "$log"; then return 0; fi
  if [[ $(cut -d: -f2 "build/$1/Testing/Temporary/LastTestsFailed.log") != kafka.real ]]; then
    return 1
  fi
  flaky+=("$1: kafka.real failed once: $log")
  ctest --test-dir "build/$1" -R '^kafka\.real$' --output-on-failure --no-tests=error
}

# wait_for PID...: fails if one of them did.
wait_for() {
  local pid status=0
  for pid; do wait "$pid" || status=1; done
  return "$status"
}

# librdkafka starts its threads by C11's thrd_create, which TSan does not know:
# it crashes at the first malloc, on Debian 12 and 13.
run_tsan() {
  local shard pids=()
  for ((shard = 0; shard < jobs; ++shard)); do
    run_tsan_shard "$shard" &
    pids+=($!)
  done
  wait_for "${pids[@]}"
}

run_tsan_shard() {
  local tests
  for tests in build/tsan/tests/{pipeline,ingest}_tests; do
    GTEST_TOTAL_SHARDS=$jobs GTEST_SHARD_INDEX=$1 \
      "$tests" --gtest_brief=1 --gtest_filter='-*Kafka*' || return 1
  done
}

# Each fuzzer of build/asan, all at once; a copy of the corpus may grow.
run_fuzzers() {
  local fuzzer name pids=()
  for fuzzer in build/asan/tests/fuzz/fuzz_*; do
    [[ -f $fuzzer && -x $fuzzer ]] || continue
    name=$(basename "$fuzzer")
    mkdir -p "build/corpus/$name"
    "$fuzzer" -max_total_time="${KLAXON_FUZZ_SECONDS:-60}" -max_len=8192 -timeout=10 \
      -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="build/$name-" \
      "build/corpus/$name" "tests/fuzz/corpus/${name#fuzz_}" &
    pids+=($!)
  done
  if ((${#pids[@]} == 0)); then
    echo 'build/asan/tests/fuzz holds no fuzzer'
    return 1
  fi
  wait_for "${pids[@]}"
}

install_missing "${BUILD_PACKAGES[@]}" "${TEST_PACKAGES[@]}"
attempt "format: clang-format-19" check_format || true
attempt "dev: build" build dev && attempt "dev: all tests" run_ctest dev || true
if ! $quick; then
  in_time "asan + ubsan, fuzzing" &&
    attempt "asan + ubsan: build (clang 19)" build asan &&
    { attempt "asan + ubsan: all tests" run_ctest asan || true; } &&
    { attempt "fuzzing for ${KLAXON_FUZZ_SECONDS:-60} s" run_fuzzers || true; } || true
  in_time "tsan" &&
    attempt "tsan: build of the threaded parts (clang 19)" build tsan pipeline_tests ingest_tests &&
    attempt "tsan: tests of pipeline/ and ingest/" run_tsan || true
  in_time "clang-tidy" &&
    attempt "clang-tidy-19" python3 -B .ci/clang_tidy.py build/dev "${KLAXON_TIDY_SECONDS:-600}" ||
    true
fi

if ((${#flaky[@]} > 0)); then printf 'FLAKY: %s\n' "${flaky[@]}"; fi
if ((${#failed[@]} > 0)); then printf 'FAILED: %s\n' "${failed[@]}"; fi
for preset in asan dev; do
  if $quick && [[ $preset != dev ]]; then continue; fi
  if [[ -f build/ctest-$preset.log ]]; then
    printf '%s: ' "$preset"
    sed -n '/tests passed/,$p' "build/ctest-$preset.log"
  fi
done
((${#failed[@]} == 0))
