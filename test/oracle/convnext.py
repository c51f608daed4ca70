"""The ConvNeXt CLIP image tower: trunk with raw stage outputs, and the CLIP projection head."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import ConvNeXtConfig


class ChannelLayerNorm(nn.LayerNorm):
    """LayerNorm over the channels of an NCHW map."""

    def forward(self, x: Tensor) -> Tensor:
        """x: float [B, C, H, W] → same shape."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Mlp(nn.Module):
    """Linear, exact GELU, Linear over the last axis."""

    def __init__(self, width: int, hidden: int, out: int, out_bias: bool = True) -> None:
        """Keeps the published names fc1 and fc2."""
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, out, bias=out_bias)

    def forward(self, x: Tensor) -> Tensor:
        """x: float […, width] → […, out]."""
        return self.fc2(functional.gelu(self.fc1(x)))


class Block(nn.Module):
    """Depthwise 7×7, channels-last LayerNorm, MLP, per-channel scale, residual."""

    def __init__(self, width: int, eps: float) -> None:
        """Builds one block of the given width."""
        super().__init__()
        self.conv_dw = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=eps)
        self.mlp = Mlp(width, 4 * width, width)
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """x: float [B, C, H, W] → same shape."""
        y = self.conv_dw(x).permute(0, 2, 3, 1)
        y = self.mlp(self.norm(y)).permute(0, 3, 1, 2)
        return x + y * self.gamma.view(1, -1, 1, 1)


class Stage(nn.Module):
    """Optional downsampling, then blocks."""

    def __init__(self, previous: int, width: int, depth: int, eps: float) -> None:
        """`previous` 0 means the first stage, which has no downsampling."""
        super().__init__()
        self.downsample = (
            nn.Sequential(
                ChannelLayerNorm(previous, eps=eps), nn.Conv2d(previous, width, 2, stride=2)
            )
            if previous
            else nn.Identity()
        )
        self.blocks = nn.Sequential(*[Block(width, eps) for _ in range(depth)])

    def forward(self, x: Tensor) -> Tensor:
        """x: float [B, C_prev, H, W] → [B, C, H or H/2, …]."""
        return self.blocks(self.downsample(x))


class Trunk(nn.Module):
    """Stem, four stages, and the norm of the (otherwise empty) head."""

    def __init__(self, config: ConvNeXtConfig) -> None:
        """Builds the trunk with published names."""
        super().__init__()
        widths, eps = config.widths, config.norm_eps
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 4, stride=4), ChannelLayerNorm(widths[0], eps=eps)
        )
        previous = (0, *widths[:3])
        self.stages = nn.ModuleList(
            [Stage(previous[i], widths[i], config.depths[i], eps) for i in range(4)]
        )
        self.head = nn.ModuleDict({"norm": ChannelLayerNorm(widths[3], eps=eps)})


class ConvNeXtTower(nn.Module):
    """`visual` of a CLIP model with a ConvNeXt trunk."""

    def __init__(self, config: ConvNeXtConfig, embed_dim: int) -> None:
        """Builds trunk and head."""
        super().__init__()
        self.trunk = Trunk(config)
        width = config.widths[3]
        head: dict[str, nn.Module] = (
            {"mlp": Mlp(width, 2 * embed_dim, embed_dim, out_bias=False)}
            if config.mlp_head
            else {"proj": nn.Linear(width, embed_dim, bias=False)}
        )
        self.head = nn.ModuleDict(head)

    def feature_maps(self, image: Tensor) -> list[Tensor]:
        """image: float [B, 3, H, W] normalised → res2…res5, strides 4, 8, 16, 32."""
        x = self.trunk.stem(image)
        maps = []
        for stage in self.trunk.stages:
            x = stage(x)
            maps.append(x)
        return maps

    def project(self, pooled: Tensor) -> Tensor:
        """pooled: float [N, C5] averages of res5 → [N, D]; the norm comes after the pooling."""
        x = self.trunk.head["norm"](pooled[:, :, None, None]).flatten(1)
        return next(iter(self.head.values()))(x)

    def region_embeddings(self, res5: Tensor, masks: Tensor) -> Tensor:
        """res5 [B, C5, h, w], masks binary float [B, Q, h, w] → out-of-vocabulary [B, Q, D]."""
        area = masks.sum(dim=(-1, -2), keepdim=True) + 1e-8
        pooled = torch.einsum("bchw,bqhw->bqc", res5, masks / area)
        batch, queries, _ = pooled.shape
        return self.project(pooled.flatten(0, 1)).view(batch, queries, -1)

    def image_embeddings(self, image: Tensor) -> Tensor:
        """Plain CLIP use: the whole map is averaged; float [B, D], not normalised."""
        return self.project(self.feature_maps(image)[-1].mean(dim=(-1, -2)))
