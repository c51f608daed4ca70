"""The bundle run from Python: TorchScript with the project's operator library, oracle's heads."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from .cases import Case, training_vocabulary
from .exporting import ROOT


def load_operators() -> None:
    """Register torch.ops.lexiseg; a missing library is an error that says how to build it."""
    path = Path(os.environ.get("LEXISEG_OPS", ROOT / "build" / "Release" / "liblexiseg_ops.so"))
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: run `npm run build:native` first")
    torch.ops.load_library(str(path))


@dataclass(frozen=True)
class BundleScores:
    """mask_logits [Q, h, w], class_log_probs [Q, K+1], text unit vectors [S, D]."""

    mask_logits: Tensor
    class_log_probs: Tensor
    class_embeddings: Tensor


@torch.inference_mode()
def bundle_scores(bundle: Path, case: Case) -> BundleScores:
    """Run encode_text, propose_masks and classify_masks as Node would."""
    load_operators()
    module = torch.jit.load(str(bundle)).eval()
    prompts = case.vocabulary.prompts()
    longest = int(prompts.argmax(-1).max()) + 1
    text = module.encode_text(prompts[..., :longest].flatten(0, 1))
    rows = functional.normalize(text.view(*prompts.shape[:2], -1).mean(1), dim=-1)
    proposals = module.propose_masks(torch.from_numpy(case.picture.copy())[None])
    log_probs = module.classify_masks(
        proposals,
        rows,
        torch.tensor(case.vocabulary.synonym_counts),
        case.vocabulary.seen(training_vocabulary()),
    )
    return BundleScores(proposals[0][0], log_probs[0], rows)
