"""Fits tensors with published names to a module: everything matches, or one error lists why not."""

from __future__ import annotations

import re
from typing import Dict, List, Mapping, Sequence, Tuple

import torch
from torch import Tensor, nn

from lexiseg_models.convert.tensors import CheckpointError

Rule = Tuple[str, str]

# Counts training steps; it has no influence on results, and some files leave it out.
_COUNTER = ".num_batches_tracked"


def published_name(name: str, rules: Sequence[Rule]) -> str:
    """The published name of one of our tensors; the first rule that matches wins.

    Args:
        name: ours, as in the module's state dict.
        rules: pairs of a pattern for the whole name and a template of the published one.
    """
    for pattern, template in rules:
        match = re.fullmatch(pattern, name)
        if match is not None:
            return match.expand(template)
    raise KeyError(f"No rule names the published counterpart of {name}")


def published_shapes(module: nn.Module, rules: Sequence[Rule]) -> Dict[str, Tuple[str, torch.Size]]:
    """By published name: our name and the shape, for every tensor that some rule matches."""
    table: Dict[str, Tuple[str, torch.Size]] = {}
    for name, tensor in module.state_dict().items():
        if any(re.fullmatch(pattern, name) for pattern, _ in rules):
            table[published_name(name, rules)] = (name, tensor.shape)
    return table


def match_tensors(
    module: nn.Module, rules: Sequence[Rule], tensors: Mapping[str, Tensor], what: str
) -> Tuple[Dict[str, Tensor], List[str]]:
    """Renames published tensors to ours.

    Returns:
        The tensors under our names, as float32 (integers keep their dtype), and the faults:
        missing, surplus, misshapen and not finite names, empty when all fit.
    """
    table = published_shapes(module, rules)
    faults: List[str] = []
    renamed: Dict[str, Tensor] = {}
    for published, (name, shape) in table.items():
        tensor = tensors.get(published)
        if tensor is None:
            if published.endswith(_COUNTER):
                renamed[name] = torch.zeros(shape, dtype=torch.int64)
            else:
                faults.append(f"missing   {what}: {published} {list(shape)}")
            continue
        if tensor.shape != shape:
            faults.append(
                f"misshapen {what}: {published} {list(tensor.shape)}, expected {list(shape)}"
            )
            continue
        if tensor.is_floating_point():
            tensor = tensor.to(torch.float32)
            if not bool(torch.isfinite(tensor).all()):
                faults.append(f"not finite {what}: {published}")
        renamed[name] = tensor.contiguous()
    for published in tensors:
        if published not in table:
            faults.append(f"surplus   {what}: {published} {list(tensors[published].shape)}")
    return renamed, faults


def assign_tensors(module: nn.Module, tensors: Mapping[str, Tensor], faults: Sequence[str]) -> None:
    """Puts the tensors into the module, which may be on the meta device.

    Raises:
        CheckpointError: there are faults; the message lists all of them.
    """
    if faults:
        raise CheckpointError(
            f"The weights do not fit ({len(faults)} faults):\n  " + "\n  ".join(faults)
        )
    module.load_state_dict(dict(tensors), strict=True, assign=True)
