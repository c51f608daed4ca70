#!/usr/bin/env bash
# Builds core, ops and their C++ tests under AddressSanitizer and UndefinedBehaviorSanitizer, and
# runs them without Node.
#
#   scripts/sanitize.sh           everything
#   scripts/sanitize.sh --short   core's tests only: what CI runs
#
# LEXISEG_JOBS says how many files are compiled at one time (2).
#
# LibTorch: LEXISEG_LIBTORCH, a folder with lib/ and include/.
set -euo pipefail
cd "$(dirname "$0")/.."

libtorch="${LEXISEG_LIBTORCH:?set LEXISEG_LIBTORCH to a LibTorch with headers}"
build="build-sanitize"
targets=(lexiseg_core_test)
if [[ "${1:-}" != "--short" ]] && grep -qs lexiseg_ops_test test/native/ops/CMakeLists.txt; then
  targets+=(lexiseg_ops_test)
fi

# -O0 keeps the compile short; the vector kernels ask for -O3 themselves.
cmake -S . -B "$build" -G Ninja --log-level=WARNING \
  -DCMAKE_BUILD_TYPE=None -DCMAKE_CXX_FLAGS="-O0" \
  -DLEXISEG_LIBTORCH="$libtorch" -DLEXISEG_ADDON=OFF -DLEXISEG_TESTS=ON \
  -DLEXISEG_SANITIZE=address,undefined
cmake --build "$build" --parallel "${LEXISEG_JOBS:-2}" --target "${targets[@]}"

# LibTorch keeps registries for the life of the process, and its wheels are built without
# sanitizers: leaks inside it cannot be told apart, and stay out of the verdict.
export ASAN_OPTIONS="detect_leaks=0:strict_string_checks=1:detect_stack_use_after_return=1:allocator_may_return_null=1:abort_on_error=0"
export UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1"
for target in "${targets[@]}"; do
  "$build/Release/$target"
done
echo "No sanitizer finding in: ${targets[*]}"
