"""Weights of bundles that this package wrote, for modules that begin where another ended."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, FrozenSet, List, Set, Tuple

import torch
from torch import Tensor, nn

from lexiseg_models.convert.tensors import CheckpointError, read_program


def is_bundle(path: Path) -> bool:
    """Whether the file is an archive with a bundle's manifest."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/extra/manifest.json") for name in archive.namelist())


def bundle_tensors(path: Path) -> Dict[str, Tensor]:
    """All tensors of a bundle of any method, by their names in its module.

    Raises:
        CheckpointError: the file is damaged.
    """
    return read_program(path, "bundle")


@dataclass(frozen=True)
class Start:
    """What of a module another bundle gave: names of tensors, of how many, and what stayed."""

    taken: FrozenSet[str]
    total: int
    left: Tuple[str, ...]

    def __str__(self) -> str:
        """One line for people."""
        line = f"{len(self.taken)} of {self.total} tensors"
        return f"{line}; as they were: {', '.join(self.left)}" if self.left else line


def _part(name: str) -> str:
    """The first two parts of a tensor's name: `transformer_decoder.mask_embed`."""
    return ".".join(name.split(".")[:2])


def load_start(module: nn.Module, path: Path) -> Start:
    """Copies a bundle's weights into `module` wherever names and shapes agree, as float32.

    Args:
        module: any method, not on the meta device; the bundle may be of another method.
        path: a bundle, for inference or trainable.

    Returns:
        How much fitted, and the parts of the module that kept what they had.

    Raises:
        CheckpointError: no bundle, a damaged one, a weight that is not finite, or nothing fits.
    """
    if not path.is_file():
        raise CheckpointError(f"no such file: {path}")
    if not is_bundle(path):
        raise CheckpointError(f"{path} is not a bundle")
    given = bundle_tensors(path)
    # A scale that does not learn is a number of the configuration.
    fixed = {name for name, _ in module.named_buffers() if name.endswith(".logit_scale")}
    own = {name: one for name, one in module.state_dict().items() if name not in fixed}
    left: List[str] = []
    taken: Set[str] = set()
    for name, tensor in own.items():
        new = given.get(name)
        if new is None or new.shape != tensor.shape:
            left.append(_part(name))
            continue
        if new.is_floating_point() and not bool(torch.isfinite(new).all()):
            raise CheckpointError(f"not finite in {path}: {name}")
        tensor.copy_(new)
        taken.add(name)
    if not taken:
        raise CheckpointError(f"nothing in {path} fits: names or shapes all differ")
    return Start(frozenset(taken), len(own), tuple(dict.fromkeys(left)))
