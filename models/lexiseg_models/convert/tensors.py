"""Reads tensors from files that may be broken: .safetensors, PyTorch state dicts, hub folders."""

from __future__ import annotations

import json
import os
import pickle
import re
import struct
import zipfile
from pathlib import Path
from typing import Any, Dict, List, Mapping, Tuple

import torch
from torch import Tensor

TensorDict = Dict[str, Tensor]

_MAX_HEADER_BYTES = 100 << 20
_MAX_NESTING_DIMS = 16
_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
# In this order: the safe format first, then the names open_clip publishes under.
_HUB_FILES = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_model.bin",
    "pytorch_model.bin",
)


class CheckpointError(ValueError):
    """A weights file cannot be read, or does not hold what it must."""


def _entry(
    path: Path, name: str, entry: Any, data_bytes: int
) -> Tuple[torch.dtype, List[int], int]:
    """Checks one header entry; gives dtype, shape and first byte within the data."""
    where = f"tensor {name} in {path}"
    if not isinstance(entry, dict):
        raise CheckpointError(f"Expected an object for {where}")
    dtype = _DTYPES.get(str(entry.get("dtype")))
    shape, offsets = entry.get("shape"), entry.get("data_offsets")
    if dtype is None:
        raise CheckpointError(f"Unknown dtype {entry.get('dtype')!r} of {where}")
    for values, what in ((shape, "shape"), (offsets, "data_offsets")):
        whole = isinstance(values, list) and all(type(v) is int and v >= 0 for v in values)
        if not whole or len(values) > _MAX_NESTING_DIMS:
            raise CheckpointError(f"Expected whole numbers for {what} of {where}")
    if len(offsets) != 2 or not offsets[0] <= offsets[1] <= data_bytes:
        raise CheckpointError(f"data_offsets of {where} lie outside the file")
    count = 1
    for size in shape:
        count *= size
    if count * dtype.itemsize != offsets[1] - offsets[0]:
        raise CheckpointError(f"Shape and data_offsets of {where} disagree")
    return dtype, shape, offsets[0]


def read_safetensors(path: Path) -> TensorDict:
    """Tensors of a .safetensors file; data stays mapped from the file until it is used.

    Raises:
        CheckpointError: the header or an entry is not sound.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        prefix = file.read(8)
        if len(prefix) < 8:
            raise CheckpointError(f"{path} is too short for a .safetensors file")
        (length,) = struct.unpack("<Q", prefix)
        if length > _MAX_HEADER_BYTES or 8 + length > size:
            raise CheckpointError(f"{path} announces a header of {length} bytes")
        try:
            header = json.loads(file.read(length))
        except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
            raise CheckpointError(f"The header of {path} is not JSON: {error}") from error
    if not isinstance(header, dict):
        raise CheckpointError(f"The header of {path} is not an object")
    base = 8 + length
    checked = {
        name: _entry(path, name, entry, size - base)
        for name, entry in header.items()
        if name != "__metadata__"
    }
    if size == base:
        return {
            name: torch.empty(shape, dtype=dtype) for name, (dtype, shape, _) in checked.items()
        }
    mapped = torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8)
    tensors: TensorDict = {}
    for name, (dtype, shape, start) in checked.items():
        count = 1
        for edge in shape:
            count *= edge
        raw = mapped[base + start : base + start + count * dtype.itemsize]
        # A view as wider numbers needs an aligned start, which only most files give.
        if (base + start) % dtype.itemsize != 0:
            raw = raw.clone()
        tensors[name] = raw.view(dtype).view(shape)
    return tensors


def read_state_dict(path: Path) -> Mapping[str, Any]:
    """The mapping in a PyTorch file; only plain data is unpickled, never code.

    Raises:
        CheckpointError: the file holds something else.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} is not a plain PyTorch state dict: {error}") from error
    if not isinstance(content, Mapping):
        raise CheckpointError(f"Expected a mapping in {path} but found {type(content).__name__}")
    return content


# What PyTorch's data-parallel training puts before every name.
_PARALLEL = "module."


def _flat(path: Path, content: Mapping[str, Any]) -> TensorDict:
    """Tensors of a state dict that may sit inside "model" or "state_dict", by their plain names."""
    for key in ("model", "state_dict"):
        inner = content.get(key)
        if isinstance(inner, Mapping):
            return _flat(path, inner)
    tensors: TensorDict = {}
    wrong: List[str] = []
    for name, value in content.items():
        if isinstance(value, Tensor) and isinstance(name, str):
            tensors[name] = value
        else:
            wrong.append(f"{name!r} ({type(value).__name__})")
    if wrong:
        raise CheckpointError(f"{path} holds entries that are not tensors: {', '.join(wrong)}")
    if all(name.startswith(_PARALLEL) for name in tensors):
        return {name.removeprefix(_PARALLEL): tensor for name, tensor in tensors.items()}
    return tensors


def _is_program(path: Path) -> bool:
    """Whether the file is a TorchScript archive, as OpenAI published its CLIPs."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def read_program(path: Path, what: str = "TorchScript archive") -> TensorDict:
    """All tensors of a TorchScript archive, by their names in its module.

    Raises:
        CheckpointError: the file is damaged; `what` says what it should be.
    """
    try:
        tensors: TensorDict = torch.jit.load(str(path), map_location="cpu").state_dict()
    except RuntimeError as error:
        raise CheckpointError(f"{path} is not a whole {what}: {error}") from error
    return tensors


def read_tensors(path: Path) -> TensorDict:
    """Tensors of a weights file: .safetensors (by its ending), TorchScript or a state dict."""
    if not path.is_file():
        raise CheckpointError(f"{path} is not a file")
    if path.suffix == ".safetensors":
        return read_safetensors(path)
    if _is_program(path):
        return read_program(path)
    return _flat(path, read_state_dict(path))


def _hub_cache() -> Path:
    """Where `hf download` puts files, by the variables that it reads."""
    named = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if named:
        return _expanded(named)
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or os.path.join(cache, "huggingface")
    return _expanded(home) / "hub"


def _expanded(path: str) -> Path:
    return Path(os.path.expandvars(os.path.expanduser(path)))


def _cached_snapshot(hub_id: str) -> Path:
    """Folder of the newest cached snapshot of a hub id."""
    folder = _hub_cache() / ("models--" + hub_id.replace("/", "--"))
    main = folder / "refs" / "main"
    if main.is_file():
        snapshot = folder / "snapshots" / main.read_text(encoding="utf-8").strip()
        if snapshot.is_dir():
            return snapshot
    snapshots = [path for path in (folder / "snapshots").glob("*") if path.is_dir()]
    if not snapshots:
        raise CheckpointError(
            f"{hub_id} is neither a file, a folder, nor in the local cache {_hub_cache()}. "
            f"Fetch it with `hf download {hub_id}`."
        )
    return max(snapshots, key=lambda path: path.stat().st_mtime)


def find_clip_file(place: str) -> Path:
    """The weights file meant by a path, a folder, or a hub id in the local cache.

    Raises:
        CheckpointError: nothing is there; the message says what was looked for.
    """
    path = Path(place)
    if path.is_file():
        return path
    if not path.is_dir():
        if not re.fullmatch(r"(hf-hub:)?[\w.-]+/[\w.-]+", place):
            raise CheckpointError(f"{place} is neither a file, a folder, nor a hub id")
        path = _cached_snapshot(place.removeprefix("hf-hub:"))
    for name in _HUB_FILES:
        if (path / name).is_file():
            return path / name
    raise CheckpointError(f"{path} holds none of {', '.join(_HUB_FILES)}")
