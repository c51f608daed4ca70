"""The masked-attention query decoder with a prediction before and after each of its layers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import DecoderConfig
from .decisions import Decisions
from .pixel_decoder import sine_position


@dataclass(frozen=True)
class ClassMatrix:
    """Unit-norm rows per synonym with void last [S + 1, D], and synonyms per class."""

    rows: Tensor
    synonym_counts: list[int]


@dataclass(frozen=True)
class Prediction:
    """Class logits [B, Q, K + 1] (void last) and mask logits [B, Q, H/4, W/4]."""

    class_logits: Tensor
    mask_logits: Tensor


def cosine_class_logits(x: Tensor, scale: Tensor, classes: ClassMatrix) -> Tensor:
    """x [B, Q, D] → [B, Q, K + 1]: scaled cosines, the maximum over each class's synonyms."""
    x = functional.normalize(x, dim=-1)
    raw = torch.clamp(scale.exp(), max=100) * x @ classes.rows.t()
    columns = []
    start = 0
    for count in classes.synonym_counts:
        columns.append(raw[:, :, start : start + count].max(-1).values)
        start += count
    columns.append(raw[:, :, -1])
    return torch.stack(columns, dim=-1)


class Mlp(nn.Module):
    """Three linear layers with ReLU between them."""

    def __init__(self, width: int, hidden: int, out: int) -> None:
        """Keeps the published name `layers`."""
        super().__init__()
        self.layers = nn.ModuleList(
            [nn.Linear(width, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, out)]
        )

    def forward(self, x: Tensor) -> Tensor:
        """x: float […, width] → […, out]."""
        x = functional.relu(self.layers[0](x))
        return self.layers[2](functional.relu(self.layers[1](x)))


class SelfAttentionLayer(nn.Module):
    """Self attention of the queries, post-norm."""

    def __init__(self, width: int, heads: int) -> None:
        """Sequence-first attention, as published."""
        super().__init__()
        self.self_attn = nn.MultiheadAttention(width, heads)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, position: Tensor) -> Tensor:
        """x, position: [Q, B, C] → [Q, B, C]."""
        q = x + position
        return self.norm(x + self.self_attn(q, q, value=x)[0])


class CrossAttentionLayer(nn.Module):
    """Masked cross attention to one memory level, post-norm."""

    def __init__(self, width: int, heads: int) -> None:
        """Sequence-first attention, as published."""
        super().__init__()
        self.multihead_attn = nn.MultiheadAttention(width, heads)
        self.norm = nn.LayerNorm(width)

    def forward(
        self, x: Tensor, position: Tensor, memory: Tensor, key: Tensor, blocked: Tensor
    ) -> Tensor:
        """x, position [Q, B, C]; memory, key [S, B, C]; blocked bool [B*heads, Q, S]."""
        attended = self.multihead_attn(x + position, key, value=memory, attn_mask=blocked)[0]
        return self.norm(x + attended)


class FeedForwardLayer(nn.Module):
    """Feed-forward, post-norm."""

    def __init__(self, width: int, hidden: int) -> None:
        """Two linear layers."""
        super().__init__()
        self.linear1 = nn.Linear(width, hidden)
        self.linear2 = nn.Linear(hidden, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """x: [Q, B, C] → [Q, B, C]."""
        return self.norm(x + self.linear2(functional.relu(self.linear1(x))))


class Predictor(nn.Module):
    """`sem_seg_head.predictor` of the published model."""

    def __init__(self, config: DecoderConfig, embed_dim: int) -> None:
        """Builds the query tables, layers and heads."""
        super().__init__()
        width, layers = config.hidden_dim, range(config.decoder_layers)
        self.heads = config.heads
        self.query_feat = nn.Embedding(config.queries, width)
        self.query_embed = nn.Embedding(config.queries, width)
        self.level_embed = nn.Embedding(3, width)
        self.transformer_self_attention_layers = nn.ModuleList(
            [SelfAttentionLayer(width, config.heads) for _ in layers]
        )
        self.transformer_cross_attention_layers = nn.ModuleList(
            [CrossAttentionLayer(width, config.heads) for _ in layers]
        )
        self.transformer_ffn_layers = nn.ModuleList(
            [FeedForwardLayer(width, config.decoder_feedforward_dim) for _ in layers]
        )
        self.decoder_norm = nn.LayerNorm(width)
        self.mask_embed = Mlp(width, width, config.mask_dim)
        self._mask_pooling_proj = nn.Sequential(
            nn.LayerNorm(config.mask_dim), nn.Linear(config.mask_dim, width)
        )
        self.class_embed = Mlp(width, width, embed_dim)
        self.logit_scale = nn.Parameter(torch.tensor(2.6593))

    def class_embeddings_of(self, queries: Tensor, mask_features: Tensor, inside: Tensor) -> Tensor:
        """In-vocabulary embeddings.

        queries [B, Q, C] after the final norm, inside: bool [B, Q, h, w] → [B, Q, D].
        """
        inside = inside.to(mask_features.dtype)
        area = inside.sum(dim=(-1, -2), keepdim=True) + 1e-8
        pooled = torch.einsum("bchw,bqhw->bqc", mask_features, inside / area)
        return self.class_embed(self._mask_pooling_proj(pooled) + queries)

    def predict(
        self, x: Tensor, mask_features: Tensor, classes: ClassMatrix, decisions: Decisions
    ) -> Prediction:
        """x: queries [Q, B, C] → a prediction."""
        queries = self.decoder_norm(x).transpose(0, 1)
        masks = torch.einsum("bqc,bchw->bqhw", self.mask_embed(queries), mask_features)
        inside = decisions.settle(masks > 0, masks, "inside")
        embeddings = self.class_embeddings_of(queries, mask_features, inside)
        return Prediction(cosine_class_logits(embeddings, self.logit_scale, classes), masks)

    def blocked_positions(
        self, mask_logits: Tensor, size: tuple[int, int], decisions: Decisions, layer: int
    ) -> Tensor:
        """mask_logits [B, Q, h, w] → bool [B*heads, Q, size]; a fully blocked row is opened."""
        resized = functional.interpolate(
            mask_logits, size=size, mode="bilinear", align_corners=False
        ).flatten(2)
        blocked = ~decisions.settle(resized.sigmoid() >= 0.5, resized, f"visible {layer}")
        blocked[blocked.sum(-1) == blocked.shape[-1]] = False
        return blocked.unsqueeze(1).repeat(1, self.heads, 1, 1).flatten(0, 1)

    def forward(
        self,
        maps: list[Tensor],
        mask_features: Tensor,
        classes: ClassMatrix,
        decisions: Decisions | None = None,
    ) -> list[Prediction]:
        """maps: strides 32, 16, 8 → decoder_layers + 1 predictions, the last is the result."""
        decisions = decisions or Decisions()
        final = len(self.transformer_cross_attention_layers) - 1
        batch = mask_features.shape[0]
        sizes = [(m.shape[-2], m.shape[-1]) for m in maps]
        memories, keys = [], []
        for level, feature in enumerate(maps):
            memory = feature.flatten(2) + self.level_embed.weight[level][None, :, None]
            memories.append(memory.permute(2, 0, 1))
            keys.append(memories[-1] + sine_position(feature).flatten(2).permute(2, 0, 1))
        position = self.query_embed.weight.unsqueeze(1).repeat(1, batch, 1)
        x = self.query_feat.weight.unsqueeze(1).repeat(1, batch, 1)
        predictions = [self.predict(x, mask_features, classes, Decisions())]
        for i, cross in enumerate(self.transformer_cross_attention_layers):
            level = i % 3
            logits = predictions[-1].mask_logits
            blocked = self.blocked_positions(logits, sizes[level], decisions, i)
            x = cross(x, position, memories[level], keys[level], blocked)
            x = self.transformer_self_attention_layers[i](x, position)
            x = self.transformer_ffn_layers[i](x)
            of_masks = decisions if i == final else Decisions()
            predictions.append(self.predict(x, mask_features, classes, of_masks))
        return predictions
