"""GKC as its specification tells it: Mask2Former whose queries are compared with texts."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import DecoderConfig, OracleConfig
from .model import OracleModel
from .predictor import ClassMatrix, Predictor
from .preprocess import NetworkInput


class GkcPredictor(Predictor):
    """Query to prior, ReLU, prior to text space; masks as in Mask2Former."""

    def __init__(self, config: DecoderConfig, embed_dim: int, prior_width: int) -> None:
        """The parts that pool under masks are left out."""
        super().__init__(config, embed_dim)
        del self._mask_pooling_proj, self.class_embed
        self.prior = nn.Linear(config.hidden_dim, prior_width)
        self.projection = nn.Linear(prior_width, embed_dim)

    def class_embeddings_of(self, queries: Tensor, mask_features: Tensor, inside: Tensor) -> Tensor:
        """Embeddings of queries [B, Q, C] after the final norm → [B, Q, D]."""
        return self.projection(functional.relu(self.prior(queries)))


class GkcOracle(OracleModel):
    """No CLIP image encoder beside the network: the tower is only a backbone."""

    def __init__(self, config: OracleConfig, prior_width: int) -> None:
        """Builds the network in eval mode with every parameter frozen."""
        super().__init__(config)
        self.sem_seg_head.predictor = GkcPredictor(config.decoder, config.embed_dim, prior_width)
        self.requires_grad_(False).eval()

    def propose(self, sizes: NetworkInput, classes: ClassMatrix) -> tuple[Tensor, Tensor]:
        """Mask logits [Q, h, w] and class log-probabilities [Q, K + 1], void last."""
        pyramid = self.clip.visual.feature_maps(sizes.image)
        mask_features, maps = self.sem_seg_head.pixel_decoder(pyramid)
        final = self.sem_seg_head.predictor(maps, mask_features, classes)[-1]
        return final.mask_logits[0], torch.log_softmax(final.class_logits[0], dim=-1)
