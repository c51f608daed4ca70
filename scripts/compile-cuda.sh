#!/usr/bin/env bash
# Compiles and links the CUDA kernels, so that they cannot rot where no GPU is, and compiles the ops and
# the core, for which this is the newest PyTorch: against the CUDA build that pip offers, of which only
# headers and four libraries are unpacked. Runs nothing of it.
#
#   scripts/compile-cuda.sh                    every architecture of native/ops/cuda/CMakeLists.txt
#   scripts/compile-cuda.sh --arch "90"        a list of them
#   scripts/compile-cuda.sh --torch 2.14.1     another version of PyTorch
#   scripts/compile-cuda.sh --libtorch DIR     a LibTorch with CUDA that is there already
#
# Needs nvcc (on PATH, in CUDA_HOME or in /usr/local/cuda), cmake, ninja, a C++20 compiler, unzip, pip.
set -euo pipefail
cd "$(dirname "$0")/.."

torch_version=2.14.1
architectures=""
libtorch=""
while [ $# -gt 0 ]; do
  case "$1" in
    --arch) architectures=$2 ;;
    --torch) torch_version=$2 ;;
    --libtorch) libtorch=$2 ;;
    *) sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
  shift 2
done

fail() { echo "compile-cuda: $*" >&2; exit 1; }

# Prints the folder with lib/ and include/ of the wheel, unpacked once.
unpack_wheel() {
  local folder=$PWD/.cache/cuda-$torch_version
  if [ ! -e "$folder/complete" ]; then
    rm -rf "$folder" && mkdir -p "$folder/wheel"
    echo "compile-cuda: fetching torch $torch_version with pip" >&2
    PIP_RETRIES=${PIP_RETRIES:-0} python3 -m pip download --quiet --no-deps --only-binary :all: \
      --dest "$folder/wheel" "torch==$torch_version" >&2 ||
      fail "pip has no torch==$torch_version for this Python"
    unzip -q -o "$folder"/wheel/torch-*.whl -d "$folder" 'torch/include/*' torch/version.py \
      torch/lib/libc10.so torch/lib/libc10_cuda.so torch/lib/libtorch_cpu.so \
      torch/lib/libtorch_cuda.so >&2 || fail "the wheel of torch $torch_version is no CUDA build"
    rm -rf "$folder/wheel"
    touch "$folder/complete"
  fi
  echo "$folder/torch"
}

[ -n "$libtorch" ] || libtorch=$(unpack_wheel)
build=build-cuda
options=(-DLEXISEG_CUDA=ON -DLEXISEG_ADDON=OFF "-DLEXISEG_LIBTORCH=$libtorch")
# Those of an earlier run are not kept.
if [ -n "$architectures" ]; then
  options+=("-DLEXISEG_CUDA_ARCHITECTURES=$architectures")
else
  options+=(-ULEXISEG_CUDA_ARCHITECTURES)
fi
cmake -S . -B "$build" -G Ninja "${options[@]}" >"$build.log" 2>&1 ||
  { cat "$build.log" >&2; fail "cmake failed"; }
started=$SECONDS
# One nvcc at a time: each wants over a gigabyte.
cmake --build "$build" --target lexiseg_core lexiseg_ops_cuda -j "${LEXISEG_JOBS:-1}"

library=$build/Release/liblexiseg_ops_cuda.so
[ -f "$library" ] || fail "$library was not written"
needed=$(readelf -d "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
for name in libtorch_cuda.so libc10_cuda.so libtorch_cpu.so libc10.so liblexiseg_ops.so; do
  grep -qx "$name" <<<"$needed" || fail "$library does not need $name"
done
grep -q '^libcudart\.so\.' <<<"$needed" || fail "$library does not share the CUDA runtime"
! grep -q / <<<"$needed" || fail "$library needs a library by path"
! readelf -d "$library" | grep -qE '\((RPATH|RUNPATH)\)' || fail "$library has a run path"
for symbol in lexiseg_ops_cuda_registration_error; do
  nm -D --defined-only "$library" | grep -qw "$symbol" || fail "$library does not export $symbol"
done
echo "compile-cuda: $(stat -c %s "$library") bytes in $((SECONDS - started)) s," \
  "needs $(tr '\n' ' ' <<<"$needed")"
