"""The whole CLIP model: image tower, text tower and logit scale, with open_clip's names."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import ConvNeXtConfig, OracleConfig, TextConfig
from .convnext import ConvNeXtTower
from .resnet import ResNetTower


class QuickGelu(nn.Module):
    """x · sigmoid(1.702 x), which OpenAI's weights were trained with."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return x * torch.sigmoid(1.702 * x)


class TextMlp(nn.Module):
    """Feed-forward part of a text block."""

    def __init__(self, width: int, quick_gelu: bool) -> None:
        """Keeps the published names c_fc and c_proj."""
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width)
        self.gelu = QuickGelu() if quick_gelu else nn.GELU()
        self.c_proj = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """x: float […, width] → same shape."""
        return self.c_proj(self.gelu(self.c_fc(x)))


class TextBlock(nn.Module):
    """Pre-norm self attention and feed-forward."""

    def __init__(self, config: TextConfig) -> None:
        """Builds one block."""
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.width)
        self.attn = nn.MultiheadAttention(config.width, config.heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(config.width)
        self.mlp = TextMlp(config.width, config.quick_gelu)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x: float [N, L, width], mask: additive float [L, L] → same shape as x."""
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False, attn_mask=mask)[0]
        return x + self.mlp(self.ln_2(x))


class TextTransformer(nn.Module):
    """The stack of text blocks."""

    def __init__(self, config: TextConfig) -> None:
        """Builds `layers` blocks."""
        super().__init__()
        self.resblocks = nn.ModuleList([TextBlock(config) for _ in range(config.layers)])

    def forward(self, x: Tensor) -> Tensor:
        """x: float [N, L, width] → same shape, causal."""
        length = x.shape[1]
        mask = torch.full((length, length), float("-inf")).triu(1)
        for block in self.resblocks:
            x = block(x, mask)
        return x


class Clip(nn.Module):
    """`backbone.clip_model` of the published model."""

    def __init__(self, config: OracleConfig) -> None:
        """Builds both towers."""
        super().__init__()
        image, text = config.image, config.text
        self.visual: ConvNeXtTower | ResNetTower = (
            ConvNeXtTower(image, config.embed_dim)
            if isinstance(image, ConvNeXtConfig)
            else ResNetTower(image, config.embed_dim)
        )
        self.context_length = text.context_length
        self.token_embedding = nn.Embedding(text.vocab_size, text.width)
        self.positional_embedding = nn.Parameter(torch.zeros(text.context_length, text.width))
        self.transformer = TextTransformer(text)
        self.ln_final = nn.LayerNorm(text.width)
        self.text_projection = nn.Parameter(torch.zeros(text.width, config.embed_dim))
        self.logit_scale = nn.Parameter(torch.tensor(2.6593))

    def text_hidden(self, token_ids: Tensor) -> Tensor:
        """token_ids: int64 [N, L ≤ 77] → final-norm state at the end token, float [N, width]."""
        x = self.token_embedding(token_ids) + self.positional_embedding[: token_ids.shape[1]]
        x = self.ln_final(self.transformer(x))
        return x[torch.arange(x.shape[0]), token_ids.argmax(dim=-1)]

    def encode_text(self, token_ids: Tensor) -> Tensor:
        """token_ids: int64 [N, 77] → float [N, D], not normalised."""
        return self.text_hidden(token_ids) @ self.text_projection

    def encode_prompts(self, token_ids: Tensor, chunk: int = 128) -> Tensor:
        """token_ids: int64 [N, 77] → unit-norm text embeddings [N, D], in chunks."""
        parts = [functional.normalize(self.encode_text(t), dim=-1) for t in token_ids.split(chunk)]
        return torch.cat(parts)
