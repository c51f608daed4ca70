"""Geometric mean of two classifiers of proposals, not normalised (arXiv 2210.04150)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lexiseg_models.parts.ensemble import EnsembleConfig


class ProposalEnsemble(nn.Module):
    """p = pA ^ (1 - w) * pB ^ w, where pA knows void, pB does not, and sums stay as they fall.

    A proposal without a region keeps pA ^ (1 - w): beside the others, whose two factors are both
    below one, it weighs more, as in the published code. With w = 1 it has no score at all.
    """

    def __init__(self, config: EnsembleConfig) -> None:
        """Keeps the weights of `config`; there are no parameters."""
        super().__init__()
        self.alpha: float = config.alpha
        self.beta: float = config.beta

    def forward(
        self, in_logits: Tensor, out_logits: Tensor, seen: Tensor, mask_valid: Tensor
    ) -> Tensor:
        """Class log-probabilities with void.

        All of an image are divided by the largest sum of a proposal, if that is above one: then
        they are probabilities beside what is left for void, and no label changes.

        Args:
            in_logits: float32 [B, Q, K + 1], of the proposal's own embedding, void last.
            out_logits: float32 [B, Q, K], of the region's CLIP embedding.
            seen: bool [K].
            mask_valid: bool [B, Q], the proposal has a region.

        Returns:
            float32 [B, Q, K + 1], natural logarithms of numbers that add up to 1, void last.
        """
        lowest = -87.0
        weight = torch.where(seen, self.alpha, self.beta).to(torch.float32).view(1, 1, -1)
        known = F.log_softmax(in_logits, dim=2)[:, :, :-1]
        other = F.log_softmax(out_logits, dim=2)
        other = torch.where(mask_valid.unsqueeze(2), other, torch.zeros_like(other))
        score = (1.0 - weight) * known + weight * other
        silent = (weight >= 1.0) & ~mask_valid.unsqueeze(2)
        score = torch.where(silent, lowest, score)
        total = score.logsumexp(dim=2)
        score = score - total.amax(dim=1).clamp(min=0.0).view(-1, 1, 1)
        void = 1.0 - score.exp().sum(dim=2, keepdim=True)
        return torch.cat((score, void.clamp(min=1e-8).log()), dim=2)
