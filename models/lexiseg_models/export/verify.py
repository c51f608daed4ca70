"""Runs a written bundle beside the eager module it came from and compares what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lexiseg_models.export.contract import END_ID, START_ID, Interface

# Elongated, so that the longest-edge cap keeps the network input small whatever the size rule.
_IMAGE_SIZES = ((24, 600), (500, 40))
# Given masks are embedded by what embedded the proposals already, a large tower for each.
_FEW_MASKS = 2
_VOCABULARIES = ((1, 2, 1), (3, 1, 1, 2, 4, 1, 1))
_TOLERANCE = 1e-3


Results = List[Tuple[str, Tensor]]
Vocabularies = List[Tuple[Tensor, Tensor, Tensor]]


class VerificationError(RuntimeError):
    """The exported graph does not do what the eager module does."""


def relative_difference(expected: Tensor, actual: Tensor) -> float:
    """Largest absolute difference over the largest absolute value; infinite on other shapes."""
    if expected.shape != actual.shape or expected.dtype != actual.dtype:
        return float("inf")
    expected, actual = expected.to(torch.float64), actual.to(torch.float64)
    if not bool(torch.isfinite(actual).all()):
        return float("inf")
    if expected.numel() == 0:
        return 0.0
    scale = max(float(expected.abs().max()), 1e-12)
    return float((expected - actual).abs().max()) / scale


def _prompts(counts: Sequence[int], length: int, generator: torch.Generator) -> Tensor:
    """Made-up prompts: int64 [sum(counts), length], start id, tokens, end id, zeros."""
    rows = sum(counts)
    ids = torch.randint(1, START_ID, (rows, length), generator=generator)
    ids[:, 0] = START_ID
    for row in range(rows):
        end = 2 + row % (length - 2)
        ids[row, end] = END_ID
        ids[row, end + 1 :] = 0
    return ids


def _text_results(module: nn.Module, generator: torch.Generator) -> Tuple[Results, Vocabularies]:
    results: Results = []
    vocabularies: Vocabularies = []
    for index, counts in enumerate(_VOCABULARIES):
        ids = _prompts(counts, 9 + 4 * index, generator)
        embeddings = module.encode_text(ids)
        results.append((f"encode_text of vocabulary {index}", embeddings))
        # Tiny text towers give near-equal embeddings; spread ones test the classifier better.
        spread = F.normalize(embeddings - 0.9 * embeddings.mean(dim=0), dim=1)
        seen = torch.arange(len(counts)) % 2 == 0
        vocabularies.append((spread, torch.tensor(counts), seen))
    return results, vocabularies


def _boxes(image: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
    """Masks as a network that sees the image at half its size would give them."""
    height, width = image.shape[1] // 2, image.shape[2] // 2
    logits = torch.full((1, _FEW_MASKS, height, width), -4.0)
    for query in range(_FEW_MASKS):
        logits[:, query, query : height // 2 + query, width // (query + 2) :] = 4.0
    size = torch.tensor([height, width])
    return logits, size, size


def _mask_results(module: nn.Module, image: Tensor, vocabularies: Vocabularies) -> Results:
    results: Results = []
    size = f"{image.shape[1]}x{image.shape[2]}"
    masks = _boxes(image)
    proposals: Tuple[Tensor, ...] = ()
    if hasattr(module, "propose_masks"):
        proposals = tuple(module.propose_masks(image))
        masks = (proposals[0][:, :_FEW_MASKS], *proposals[4:6])
        for field, tensor in enumerate(proposals):
            results.append((f"propose_masks[{field}] at {size}", tensor))
    if hasattr(module, "embed_masks"):
        embedded = tuple(module.embed_masks(image, *masks))
        proposals = proposals or embedded
        for field, tensor in enumerate(embedded):
            results.append((f"embed_masks[{field}] at {size}", tensor))
    for index, vocabulary in enumerate(vocabularies):
        log_probs = module.classify_masks(proposals, *vocabulary)
        results.append((f"classify_masks at {size}, vocabulary {index}", log_probs))
    return results


def _dense_results(module: nn.Module, image: Tensor, vocabularies: Vocabularies) -> Results:
    results: Results = []
    size = f"{image.shape[1]}x{image.shape[2]}"
    for field, tensor in enumerate(module.encode_patches(image)):
        results.append((f"encode_patches[{field}] at {size}", tensor))
    for index, (embeddings, counts, _) in enumerate(vocabularies):
        about = f"at {size}, vocabulary {index}"
        for field, tensor in enumerate(module.segment_dense(image, embeddings, counts)):
            results.append((f"segment_dense[{field}] {about}", tensor))
        similarity = module.patch_similarity(image, embeddings)[0]
        results.append((f"patch_similarity {about}", similarity))
        logits = module.classify_image(image, embeddings, counts)
        results.append((f"classify_image {about}", logits))
    return results


def run_methods(module: nn.Module, seed: int = 0) -> Results:
    """Results of every method on two image sizes and two vocabularies, each with its name."""
    generator = torch.Generator().manual_seed(seed)
    images = [
        torch.randint(0, 256, (1, *size, 3), dtype=torch.uint8, generator=generator)
        for size in _IMAGE_SIZES
    ]
    with torch.inference_mode():
        results, vocabularies = _text_results(module, generator)
        for image in images:
            if hasattr(module, "encode_image"):
                name = f"encode_image at {image.shape[1]}x{image.shape[2]}"
                results.append((name, module.encode_image(image)))
            if hasattr(module, "classify_masks"):
                results += _mask_results(module, image, vocabularies)
            if hasattr(module, "segment_dense"):
                results += _dense_results(module, image, vocabularies)
    return results


def training_batch(
    kind: str, dim: int, seed: int = 0, size: Tuple[int, int] = (64, 96)
) -> Dict[str, Tensor]:
    """A made-up batch of two images for `losses`.

    Args:
        kind: "panoptic" or "image-text".
        dim: width of text embeddings.
        seed: of all its numbers.
        size: height and width of the images and of their masks, each at least 4.
    """
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (2, *size, 3), dtype=torch.uint8, generator=generator)
    if kind == "image-text":
        return {"images": images, "token_ids": _prompts((1, 1), 9, generator)}
    height, width = size
    middle, half = height // 2, width // 2
    masks = torch.zeros(3, height, width, dtype=torch.uint8)
    masks[0, :middle, :half] = 1
    masks[1, middle:, half // 2 : -half // 2] = 1
    masks[2, height // 4 : -height // 4, half:] = 1
    return {
        "images": images,
        "masks": masks,
        "labels": torch.tensor([1, 0, 2]),
        "mask_counts": torch.tensor([2, 1]),
        "seeds": torch.tensor([5, 6]),
        "class_embeddings": F.normalize(torch.randn(4, dim, generator=generator), dim=1),
        "synonym_counts": torch.tensor([1, 2, 1]),
        "word_ids": _prompts((1, 1, 1), 9, generator),
        "word_counts": torch.tensor([2, 1]),
    }


def run_losses(module: nn.Module, kind: str, dim: int, size: Tuple[int, int] = (64, 96)) -> Results:
    """The losses of a made-up batch and their gradients' norm, each with its name."""
    parameters = list(module.parameters())
    for parameter in parameters:
        parameter.requires_grad_(True)
    losses = module.losses(training_batch(kind, dim, size=size))
    total = torch.stack([losses[name] for name in sorted(losses)]).sum()
    gradients = torch.autograd.grad(total, parameters, allow_unused=True)
    for parameter in parameters:
        parameter.requires_grad_(False)
    norm = torch.stack([g.norm() for g in gradients if g is not None]).norm()
    named: Results = [(f"losses: {name}", losses[name].detach()) for name in sorted(losses)]
    return [*named, ("gradient norm of the losses", norm.detach())]


def compare(
    expected: Sequence[Tuple[str, Tensor]], actual: Sequence[Tuple[str, Tensor]]
) -> Dict[str, float]:
    """Relative difference of each result.

    Raises:
        VerificationError: names every result that is not finite or further off than 1e-3.
    """
    differences = {
        name: relative_difference(tensor, other)
        for (name, tensor), (_, other) in zip(expected, actual)
    }
    wrong = [f"{name}: {value:.3g}" for name, value in differences.items() if value > _TOLERANCE]
    if wrong or len(expected) != len(actual):
        raise VerificationError("Exported and eager results differ:\n  " + "\n  ".join(wrong))
    return differences


def verify_bundle(eager: nn.Module, path: Path, interface: Interface, dim: int) -> float:
    """Loads a bundle, runs it as saved and frozen, and compares both with the eager module.

    Args:
        eager: the module that was written.
        path: the bundle.
        interface: what it offers.
        dim: width of text embeddings.

    Returns:
        The largest relative difference found.

    Raises:
        VerificationError: a result differs by more than 1e-3.
    """
    expected = run_methods(eager)
    loaded = torch.jit.load(str(path)).eval()
    # Without folding norms into convolutions: in bfloat16 that rounds the weights a second time,
    # which is no fault of the graph.
    kept = [*interface.methods, *interface.stages]
    frozen = torch.jit.freeze(loaded, preserved_attrs=kept, optimize_numerics=False)
    worst = max(max(compare(expected, run_methods(module)).values()) for module in (loaded, frozen))
    if interface.training is None:
        return worst
    kind = interface.training["batch"]
    # A network that learns from crops of one size says so.
    side = int(getattr(eager, "crop_side", 0))
    size = (side, side) if side > 0 else (64, 96)
    differences = compare(run_losses(eager, kind, dim, size), run_losses(loaded, kind, dim, size))
    return max(worst, *differences.values())
