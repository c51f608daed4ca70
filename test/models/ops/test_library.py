"""The library as a whole: what happens when it is loaded, and on lesser processors."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent

# Loads libraries one after another and prints what each says of its registration.
LOAD = """
import ctypes, sys, torch
{before}
for path in sys.argv[1:]:
    torch.ops.load_library(path)
    library = ctypes.CDLL(path)
    library.lexiseg_ops_registration_error.restype = ctypes.c_char_p
    print("registration:", library.lexiseg_ops_registration_error().decode())
{after}
"""
USE = """
cost = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
print("columns:", torch.ops.lexiseg.linear_sum_assignment(cost)[1].tolist())
"""


def _library() -> Path:
    """The file that this process has loaded."""
    for path in torch.ops.loaded_libraries:
        if Path(path).name.startswith("liblexiseg_ops"):
            return Path(path)
    pytest.fail("the operator library is not among the loaded ones")


def _run(program: str, *libraries: Path) -> str:
    result = subprocess.run(
        [sys.executable, "-c", program, *map(str, libraries)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_a_second_copy_in_the_process_is_harmless(tmp_path):
    copy = tmp_path / "liblexiseg_ops.so"
    shutil.copy(_library(), copy)
    said = _run(LOAD.format(before="", after=USE), _library(), copy, _library())
    assert said.splitlines() == ["registration: "] * 3 + ["columns: [1, 0]"]


def test_other_operators_of_that_name_are_reported_and_not_fatal():
    theirs = "\n".join(
        (
            'other = torch.library.Library("lexiseg", "DEF")',
            'other.define("label_map(Tensor x) -> Tensor")',
        )
    )
    said = _run(LOAD.format(before=theirs, after=""), _library())
    assert "Another version of the lexiseg operators is loaded in this process" in said


@pytest.mark.parametrize("capability", ["avx2", "default"])
def test_lesser_instruction_sets_give_the_same(capability):
    if os.environ.get("ATEN_CPU_CAPABILITY"):
        pytest.skip("this is the run on a lesser instruction set")
    chosen = ["label_map", "panoptic_merge", "select_instances", "ms_deform_attn"]
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-k",
            "equals or separate or lower_precision or not_a_number",
            *(str(HERE / f"test_{name}.py") for name in chosen),
        ],
        env={
            **os.environ,
            "ATEN_CPU_CAPABILITY": capability,
            "LEXISEG_OPS": str(_library()),
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-3000:]
