"""What a method predicts before it knows the vocabulary."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Proposals(NamedTuple):
    """Class-agnostic masks of a batch with what the classifier needs.

    Attributes:
        mask_logits: float32 [B, Q, h, w] at stride 4 of the network input, before sigmoid.
        in_vocabulary_embeddings: float32 [B, Q, D], unit norm.
        out_of_vocabulary_embeddings: float32 [B, Q, D], unit norm.
        mask_valid: bool [B, Q], the mask has a positive logit at stride 32.
        network_size: int64 [2], height and width of the padded network input.
        valid_size: int64 [2], height and width of the resized image, top-left within it.
        query_embeddings: float32 [B, Q, C], what the decoder made of each query; like from one
            frame of a video to the next (arXiv 2208.02245, sec. 3.2).
    """

    mask_logits: Tensor
    in_vocabulary_embeddings: Tensor
    out_of_vocabulary_embeddings: Tensor
    mask_valid: Tensor
    network_size: Tensor
    valid_size: Tensor
    query_embeddings: Tensor


class DirectProposals(NamedTuple):
    """Class-agnostic masks whose queries lie in the space of texts themselves.

    Attributes:
        mask_logits: float32 [B, Q, h, w] at stride 4 of the network input, before sigmoid.
        region_embeddings: float32 [B, Q, D], unit norm.
        network_size: int64 [2], height and width of the padded network input.
        valid_size: int64 [2], height and width of the resized image, top-left within it.
        query_embeddings: float32 [B, Q, C], what the decoder made of each query; like from one
            frame of a video to the next (arXiv 2208.02245, sec. 3.2).
    """

    mask_logits: Tensor
    region_embeddings: Tensor
    network_size: Tensor
    valid_size: Tensor
    query_embeddings: Tensor
