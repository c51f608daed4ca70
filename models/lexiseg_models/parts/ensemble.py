"""Geometric ensemble of two classifiers, in log space."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class EnsembleConfig:
    """Weights of the out-of-vocabulary classifier.

    Attributes:
        alpha: for seen classes, 0..1.
        beta: for unseen classes, 0..1.
        on_valid_mask_only: masks empty at stride 32 use the in-vocabulary classifier alone.
    """

    alpha: float
    beta: float
    on_valid_mask_only: bool


class GeometricEnsemble(nn.Module):
    """log p = (1 - w) log p_in + w log p_out, w chosen per class by seen or unseen.

    Equal to the product of powers of FC-CLIP (sec. 3.3), but a probability that underflows
    stays a large negative number instead of becoming 0 ** 0 or NaN.
    """

    def __init__(self, config: EnsembleConfig) -> None:
        """Keeps the weights of `config`; there are no parameters."""
        super().__init__()
        self.alpha: float = config.alpha
        self.beta: float = config.beta
        self.on_valid_mask_only: bool = config.on_valid_mask_only

    def forward(
        self, in_logits: Tensor, out_logits: Tensor, seen: Tensor, mask_valid: Tensor
    ) -> Tensor:
        """Class log-probabilities with void.

        Args:
            in_logits: float32 [B, Q, K + 1], in-vocabulary, void last.
            out_logits: float32 [B, Q, K], out-of-vocabulary.
            seen: bool [K].
            mask_valid: bool [B, Q].

        Returns:
            float32 [B, Q, K + 1], log(p + 1e-8), void last.
        """
        weight = torch.where(seen, self.alpha, self.beta).to(torch.float32).view(1, 1, -1)
        if self.on_valid_mask_only:
            weight = torch.where(mask_valid.unsqueeze(2), weight, torch.zeros_like(weight))
        known = F.log_softmax(in_logits[:, :, :-1], dim=2)
        score = torch.lerp(known, F.log_softmax(out_logits, dim=2), weight.expand_as(known))
        void = F.softmax(in_logits, dim=2)[:, :, -1:]
        probs = torch.cat((F.softmax(score, dim=2) * (1.0 - void), void), dim=2)
        return torch.log(probs + 1e-8)
