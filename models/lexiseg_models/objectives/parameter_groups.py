"""Which parameters train together and how: data for the manifest of a trainable bundle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from torch import Tensor, nn

# Whether weight decay leaves a parameter alone: its module, its name within it, itself.
Exempt = Callable[[nn.Module, str, Tensor], bool]
_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.BatchNorm2d)
# Of the logarithm of a learned scale of cosines: from 1 to a hair under 100, so that a scale at its
# bound still has a slope where the network cuts it off at 100.
LOG_SCALE_BOUNDS = (0.0, 4.6051)


@dataclass(frozen=True)
class Part:
    """A part of a network that trains in one way.

    Attributes:
        name: of its group in the manifest.
        modules: names of submodules or parameters, with all that is under them.
        frozen: it does not train unless a run asks for it.
        learning_rate_multiplier: on the learning rate of the run.
        bounds: least and most of every number in it, held after each step; None where it is free.
    """

    name: str
    modules: Sequence[str]
    frozen: bool
    learning_rate_multiplier: float
    bounds: Optional[Tuple[float, float]] = None


def norms_and_embeddings(module: nn.Module, name: str, parameter: Tensor) -> bool:
    """Exempts normalisation layers and embedding tables; biases decay (FC-CLIP's recipe)."""
    return isinstance(module, (*_NORMS, nn.Embedding))


def gains_and_biases(module: nn.Module, name: str, parameter: Tensor) -> bool:
    """Exempts everything with fewer than two dimensions (CLIP's recipe)."""
    return parameter.dim() < 2


def parameter_groups(
    module: nn.Module, parts: Sequence[Part], exempt: Exempt
) -> List[Dict[str, Any]]:
    """Groups for the manifest; every parameter is in exactly one.

    Raises:
        ValueError: a parameter belongs to no part or to several.
    """
    names: Dict[str, List[List[str]]] = {part.name: [[], []] for part in parts}
    for path, child in module.named_modules():
        for name, parameter in child.named_parameters(recurse=False):
            full = f"{path}.{name}" if path else name
            owners = [
                part
                for part in parts
                if any(full == m or full.startswith(m + ".") for m in part.modules)
            ]
            if len(owners) != 1:
                raise ValueError(f"Expected one part for parameter {full}, found {len(owners)}")
            names[owners[0].name][int(exempt(child, name, parameter))].append(full)
    groups: List[Dict[str, Any]] = []
    for part in parts:
        for decayed, parameters in zip((True, False), names[part.name]):
            if parameters:
                groups.append(
                    {
                        "name": part.name,
                        "frozen": part.frozen,
                        "learningRateMultiplier": part.learning_rate_multiplier,
                        "decayed": decayed,
                        "parameters": parameters,
                        **({} if part.bounds is None else {"bounds": list(part.bounds)}),
                    }
                )
    return groups
