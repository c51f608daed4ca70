"""The ops under test: on a CUDA device where there is one, and always on the CPU emulator.

The emulator compiles the kernels' own sources for the CPU (test/cuda/emulator), so their logic is
checked where no GPU is. LEXISEG_CUDA_DEVICE_ONLY=1 leaves it out.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

REPOSITORY = Path(__file__).resolve().parents[2]
# This folder may be tested alone; what other tests share lies above it.
sys.path.append(str(REPOSITORY / "test"))
EMULATOR = Path(__file__).resolve().parent / "emulator"
SOURCES = REPOSITORY / "native" / "ops"


@dataclass(frozen=True)
class Backend:
    """ops: where the op functions are; device: where their arguments live."""

    name: str
    ops: SimpleNamespace
    device: torch.device


def _emulator_library() -> Path:
    """Compiles the emulated ops once for these sources and this torch."""
    inputs = [*EMULATOR.rglob("*.*"), *SOURCES.glob("*.h"), *(SOURCES / "cuda").glob("*.*")]
    inputs += [SOURCES / "check.cpp", *(SOURCES / "kernels").glob("*.h")]
    digest = hashlib.sha256(torch.__version__.encode())
    for path in sorted(inputs):
        digest.update(path.read_bytes())
    folder = REPOSITORY / ".cache" / "cuda-emulator"
    library = folder / f"emulated-{digest.hexdigest()[:16]}.so"
    if library.exists():
        return library
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("*.so"):
        stale.unlink()
    torch_folder = Path(torch.__file__).parent
    include = torch_folder / "include"
    partial = library.with_suffix(f".{os.getpid()}")
    command = [
        *(os.environ.get("CXX", "g++"), "-std=c++20", "-O1", "-g1", "-shared", "-fPIC"),
        *("-Wall", "-Wextra", "-Wno-psabi", "-Wno-unknown-pragmas"),
        *(f"-I{EMULATOR}", f"-I{REPOSITORY / 'native'}"),
        *("-isystem", str(include), "-isystem", str(include / "torch/csrc/api/include")),
        *(str(EMULATOR / "emulated_ops.cpp"), str(SOURCES / "check.cpp"), "-o", str(partial)),
        *(f"-L{torch_folder / 'lib'}", "-ltorch_cpu", "-lc10"),
    ]
    subprocess.run(command, check=True)
    partial.rename(library)
    return library


def _emulated() -> Backend:
    torch.ops.load_library(str(_emulator_library()))
    return Backend("emulated", torch.ops.lexiseg_emulated, torch.device("cpu"))


def _cuda() -> Backend:
    if not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA device")
    folder = Path(os.environ.get("LEXISEG_CUDA_OPS", REPOSITORY / "build" / "Release"))
    if not (folder / "liblexiseg_ops_cuda.so").is_file():
        pytest.skip(f"{folder} has no liblexiseg_ops_cuda.so; `npm run test:cuda` builds it")
    torch.ops.load_library(str(folder / "liblexiseg_ops.so"))
    torch.ops.load_library(str(folder / "liblexiseg_ops_cuda.so"))
    library = ctypes.CDLL(str(folder / "liblexiseg_ops_cuda.so"))
    library.lexiseg_ops_cuda_registration_error.restype = ctypes.c_char_p
    reason = library.lexiseg_ops_cuda_registration_error().decode()
    assert reason == "", f"the CUDA kernels are not registered: {reason}"
    return Backend("cuda", torch.ops.lexiseg, torch.device("cuda"))


BACKENDS = {"emulated": _emulated, "cuda": _cuda}
if os.environ.get("LEXISEG_CUDA_DEVICE_ONLY") == "1":
    del BACKENDS["emulated"]


def pytest_report_header() -> str:
    if torch.cuda.is_available():
        return f"CUDA device: {torch.cuda.get_device_name()}"
    return "CUDA device: none, so its tests are skipped"


@pytest.fixture(scope="session", params=sorted(BACKENDS))
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each way to run the kernels; the CUDA one skips, with the reason, where it cannot."""
    return BACKENDS[request.param]()


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
