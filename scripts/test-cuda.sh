#!/usr/bin/env bash
# Builds against the LibTorch of an installed Python torch (CUDA, 2.11 or newer) and, on the GPU, runs
# the tests of the ops and of two training processes, compares the tiny bundle between the CPU and the
# GPU, and prints a bench.
#
#   npm run test:cuda                          says why it does nothing where there is no CUDA
#   npm run test:cuda -- --require             fails there instead
#   scripts/test-cuda.sh --bundle model.pt     bundle of the comparison and the bench
#
# Needs python3 with torch and pytest, nvcc, cmake, ninja, a C++20 compiler, node and node_modules with
# the library compiled (npm run build:lib); no network. PYTHON and NODE name other programs.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
node=${NODE:-node}
bundle=models/bundles/tiny-fc-clip.pt
required=0
while [ $# -gt 0 ]; do
  case "$1" in
    --require) required=1; shift ;;
    --bundle) bundle=$2; shift 2 ;;
    *) sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
done

skip() {
  echo "test-cuda: skipped: $*"
  exit "$required"
}

probe='
import sys
try:
    import torch
except ImportError:
    sys.exit("this Python has no torch")
if tuple(int(part) for part in torch.__version__.split(".")[:2]) < (2, 11):
    sys.exit("torch " + torch.__version__ + " is older than 2.11")
if torch.version.cuda is None:
    sys.exit("torch " + torch.__version__ + " is built without CUDA")
if not torch.cuda.is_available():
    sys.exit("torch finds no CUDA device")
print("%d%d" % torch.cuda.get_device_capability(), torch.__path__[0])
'
complaint=$(mktemp)
trap 'rm -f "$complaint"' EXIT
# What PyTorch warns of is no answer.
found=$("$python" -W ignore -c "$probe" 2>"$complaint") || skip "$(cat "$complaint")"
read -r architecture libtorch <<<"$found"
"$python" -c 'import pytest' 2>/dev/null || skip "this Python has no pytest"
export LEXISEG_LIBTORCH=$libtorch
for program in cmake ninja "$node"; do
  command -v "$program" >/dev/null || skip "$program is missing"
done
export CUDACXX=${CUDACXX:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}
[ -x "$CUDACXX" ] || skip "nvcc is missing"

# build/Release is where the library looks in a checkout; another torch's build must not linger there.
rm -f .cache/setup/native .cache/setup/native-tests
cmake -S . -B build -G Ninja -DLEXISEG_CUDA=ON -DLEXISEG_TESTS=OFF "-DCMAKE_CUDA_COMPILER=$CUDACXX" \
  "-DLEXISEG_LIBTORCH=$libtorch" "-DLEXISEG_CUDA_ARCHITECTURES=$architecture"
cmake --build build -j "${LEXISEG_JOBS:-$(nproc)}"

[ -e dist/index.js ] || "$node" node_modules/typescript/bin/tsc -p .
status=0
LEXISEG_CUDA_DEVICE_ONLY=1 "$python" -m pytest -q -rs test/cuda || status=1
"$node" test/cuda/devices.mjs "$bundle" || status=1
exit "$status"
