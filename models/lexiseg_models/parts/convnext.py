"""CLIP's ConvNeXt image tower and its head for regions; activations are channels-last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Tuple

import torch
from torch import Tensor, nn

from lexiseg_models.parts.layer_norm import LayerNorm
from lexiseg_models.parts.linear import Linear
from lexiseg_models.parts.mask_pooling import pool_masks


@dataclass(frozen=True)
class ConvNextConfig:
    """Shape of a ConvNeXt tower.

    Attributes:
        depths: blocks of each of the four stages.
        widths: channels of each stage, res2 to res5.
        norm_eps: of every LayerNorm in the trunk.
        head: "mlp" (two layers) or "linear": the projection after the head's norm.
    """

    depths: Tuple[int, int, int, int]
    widths: Tuple[int, int, int, int]
    norm_eps: float
    head: str


class ConvNextBlock(nn.Module):
    """Depthwise 7x7, LayerNorm, fourfold MLP, per-channel scale, residual."""

    def __init__(self, *, width: int, norm_eps: float) -> None:
        """The scale starts at one, so that an untrained tower already mixes."""
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = LayerNorm(width, eps=norm_eps)
        self.expand = Linear(width, 4 * width, activation="gelu")
        self.project = Linear(4 * width, width)
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """[B, h, w, C] to the same shape."""
        y = torch.ops.lexiseg.depthwise_conv(
            x.permute(0, 3, 1, 2), self.depthwise.weight, self.depthwise.bias
        ).permute(0, 2, 3, 1)
        return torch.ops.lexiseg.inverted_bottleneck(
            y,
            x,
            self.norm.weight,
            self.norm.bias,
            self.norm.eps,
            self.expand.weight,
            self.expand.bias,
            self.project.weight,
            self.project.bias,
            self.gamma,
        )


class Downsample(nn.Module):
    """LayerNorm, then a 2x2 convolution of stride 2."""

    def __init__(self, *, in_width: int, width: int, norm_eps: float) -> None:
        """From `in_width` to `width` channels."""
        super().__init__()
        self.norm = LayerNorm(in_width, eps=norm_eps)
        self.reduce = nn.Conv2d(in_width, width, 2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """[B, h, w, Cin] to [B, h / 2, w / 2, C]."""
        return self.reduce(self.norm(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class Stem(nn.Module):
    """4x4 convolution of stride 4, then LayerNorm."""

    def __init__(self, *, width: int, norm_eps: float) -> None:
        """From RGB to `width` channels."""
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, stride=4)
        self.norm = LayerNorm(width, eps=norm_eps)

    def forward(self, image: Tensor) -> Tensor:
        """[B, 3, H, W] to [B, H / 4, W / 4, C] in the dtype of the weights."""
        return self.norm(self.patches(image.to(self.patches.weight.dtype)).permute(0, 2, 3, 1))


class ConvNext(nn.Module):
    """The trunk: an image to the feature pyramid res2 to res5."""

    def __init__(self, config: ConvNextConfig) -> None:
        """Stages as `config` says."""
        super().__init__()
        widths = config.widths
        eps = config.norm_eps
        self.reductions = nn.ModuleList([Stem(width=widths[0], norm_eps=eps)])
        for i in range(1, len(widths)):
            self.reductions.append(
                Downsample(in_width=widths[i - 1], width=widths[i], norm_eps=eps)
            )
        self.stages = nn.ModuleList(
            nn.Sequential(*(ConvNextBlock(width=width, norm_eps=eps) for _ in range(depth)))
            for width, depth in zip(widths, config.depths)
        )

    def forward(self, image: Tensor) -> List[Tensor]:
        """The feature pyramid.

        Args:
            image: normalised float [B, 3, H, W], H and W multiples of 32.

        Returns:
            Four maps [B, C, H / s, W / s] at strides 4, 8, 16, 32, in channels-last memory.
        """
        features: List[Tensor] = []
        x = image
        for reduction, stage in zip(self.reductions, self.stages):
            x = stage(reduction(x))
            features.append(x.permute(0, 3, 1, 2))
        return features


class PooledRegionHead(nn.Module):
    """CLIP embedding of a region: average under the mask, LayerNorm, projection.

    The average comes first and the norm second; normalising the dense map would be another model.
    """

    def __init__(self, config: ConvNextConfig, *, embedding_dim: int) -> None:
        """`config.head` picks the projection."""
        super().__init__()
        width = config.widths[3]
        self.norm = LayerNorm(width, eps=config.norm_eps)
        if config.head == "mlp":
            self.projection: nn.Module = nn.Sequential(
                Linear(width, width, activation="gelu"), Linear(width, embedding_dim, bias=False)
            )
        elif config.head == "linear":
            self.projection = Linear(width, embedding_dim, bias=False)
        else:
            raise ValueError(f"Expected mlp or linear for head but received {config.head}")

    def forward(self, dense: Tensor, mask_logits: Tensor) -> Tensor:
        """Region embeddings.

        Args:
            dense: res5, [B, C, h, w].
            mask_logits: float32 [B, Q, H, W] at the same stride or a finer one, before sigmoid; see
                `pool_masks`.

        Returns:
            [B, Q, D], not normalised, in the dtype of the head's weights.
        """
        return self.embed(pool_masks(dense, mask_logits))

    def embed(self, pooled: Tensor) -> Tensor:
        """Averages [..., C] to embeddings [..., D], not normalised."""
        return self.projection(self.norm(pooled.to(self.norm.weight.dtype)))

    def embed_images(self, dense: Tensor) -> Tensor:
        """CLIP's embedding of whole images: [B, C, h, w] to [B, D], not normalised."""
        return self.embed(dense.to(torch.float32).mean(dim=(2, 3)))
