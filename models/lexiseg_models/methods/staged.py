"""The stages that every method with an image tower and a text tower begins with."""

from __future__ import annotations

from typing import List

import torch
from torch import Tensor, nn

from lexiseg_models.parts.preprocess import Preprocess
from lexiseg_models.parts.text_encoder import TextEncoder


class StagedNetwork(nn.Module):
    """Text to embeddings, pixels to a pyramid; what follows is the subclass's own."""

    def __init__(
        self, *, preprocess: Preprocess, image_tower: nn.Module, text_encoder: TextEncoder
    ) -> None:
        """Keeps the parts that the stages below run."""
        super().__init__()
        self.preprocess = preprocess
        self.image_tower = image_tower
        self.text_encoder = text_encoder

    @torch.jit.export
    def encode_text(self, token_ids: Tensor) -> Tensor:
        """Prompts, int64 [N, L], to text embeddings, float32 [N, D], unit norm."""
        return self.text_encoder(token_ids)

    @torch.jit.export
    def stage_preprocess(self, image: Tensor) -> List[Tensor]:
        """uint8 [B, H, W, 3] to [network input float32 [B, 3, H', W'], valid size int64 [2]]."""
        network_input, valid_size = self.preprocess(image)
        return [network_input, valid_size]

    @torch.jit.export
    def stage_backbone(self, prepared: List[Tensor]) -> List[Tensor]:
        """Appends the pyramid: [res2, res3, res4, res5, network size, valid size]."""
        network_input, valid_size = prepared[0], prepared[1]
        features: List[Tensor] = self.image_tower(network_input)
        network_size = torch.tensor(
            [network_input.shape[2], network_input.shape[3]], dtype=torch.int64
        )
        return features + [network_size, valid_size]
