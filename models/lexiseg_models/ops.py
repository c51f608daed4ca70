"""Loads the native operators (torch.ops.lexiseg.*) that Python and Node share."""

from __future__ import annotations

import os
from pathlib import Path

import torch

LIBRARY = "liblexiseg_ops.so"
_MODELS = Path(__file__).resolve().parents[1]
# What pip installs has no library beside it.
_PLACES = (
    (
        _MODELS.parent / "build" / "Release" / LIBRARY,
        _MODELS.parent / "prebuilds" / "linux-x64" / LIBRARY,
    )
    if (_MODELS / "pyproject.toml").is_file()
    else ()
)


def load_ops() -> None:
    """Registers the operators with PyTorch; a second call does nothing.

    The library is the one named by LEXISEG_OPS, else the one built in this checkout, else the
    prebuilt one. A set but wrong LEXISEG_OPS is an error, never a fall-through.

    Raises:
        FileNotFoundError: no library is found; the message says where there is one.
    """
    if hasattr(torch.ops.lexiseg, "ms_deform_attn"):
        return
    named = os.environ.get("LEXISEG_OPS")
    if named is not None:
        if not Path(named).is_file():
            raise FileNotFoundError(f"LEXISEG_OPS names {named}, which is not a file")
        torch.ops.load_library(named)
        return
    for place in _PLACES:
        if place.is_file():
            torch.ops.load_library(str(place))
            return
    tried = "".join(f"\n  no {place}" for place in _PLACES)
    raise FileNotFoundError(
        f"The operator library {LIBRARY} was not found.{tried}\n"
        "Set LEXISEG_OPS to its path. `npm run build:native` in a checkout of lexiseg builds it in "
        "build/Release; the npm package has it in prebuilds."
    )
