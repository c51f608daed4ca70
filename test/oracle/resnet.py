"""The CLIP ResNet image tower with its attention pool, also pooled per mask."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import ResNetConfig


class Bottleneck(nn.Module):
    """1×1, 3×3, average pool for the stride, 1×1; the shortcut is pooled before its convolution."""

    def __init__(self, inplanes: int, planes: int, stride: int) -> None:
        """Output has 4 × planes channels."""
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.avgpool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.conv3 = nn.Conv2d(planes, 4 * planes, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * planes)
        self.pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.downsample = (
            nn.Sequential(
                nn.Conv2d(inplanes, 4 * planes, 1, bias=False), nn.BatchNorm2d(4 * planes)
            )
            if stride > 1 or inplanes != 4 * planes
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """x: float [B, inplanes, H, W] → [B, 4 planes, H/stride, W/stride]."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(self.avgpool(y)))
        shortcut = x if self.downsample is None else self.downsample(self.pool(x))
        return functional.relu(y + shortcut)


class AttentionPool(nn.Module):
    """CLIP's attention pooling; parameters only, the two uses are methods."""

    def __init__(self, config: ResNetConfig, embed_dim: int) -> None:
        """Positional table has one row for the query and one per cell of the training grid."""
        super().__init__()
        width = 32 * config.width
        self.heads = config.heads
        self.grid = config.image_size // 32
        self.positional_embedding = nn.Parameter(torch.zeros(1 + self.grid**2, width))
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.c_proj = nn.Linear(width, embed_dim)

    def attend(self, query: Tensor, memory: Tensor, blocked: Tensor | None) -> Tensor:
        """query [B, N, C], memory [B, L, C], blocked bool [B, N, L] → [B, N, D]."""
        batch, length, width = query.shape

        def split(x: Tensor) -> Tensor:
            return x.view(batch, -1, self.heads, width // self.heads).transpose(1, 2)

        q, k, v = split(self.q_proj(query)), split(self.k_proj(memory)), split(self.v_proj(memory))
        scores = q @ k.transpose(-1, -2) / (width // self.heads) ** 0.5
        if blocked is not None:
            scores = scores.masked_fill(blocked[:, None], float("-inf"))
        mixed = scores.softmax(dim=-1) @ v
        return self.c_proj(mixed.transpose(1, 2).reshape(batch, length, width))

    def forward(self, res5: Tensor) -> Tensor:
        """Plain CLIP use: the mean token is query and also a key; float [B, D]."""
        tokens = res5.flatten(2).transpose(1, 2)
        tokens = torch.cat([tokens.mean(dim=1, keepdim=True), tokens], dim=1)
        tokens = tokens + self.positional_embedding
        return self.attend(tokens[:, :1], tokens, None)[:, 0]

    def pool_masks(self, res5: Tensor, masks: Tensor) -> Tensor:
        """res5 [B, C5, h, w], masks binary [B, Q, h, w] → [B, Q, D]; NaN where a mask is empty."""
        height, width = res5.shape[-2:]
        table = self.positional_embedding[1:].t().reshape(1, -1, self.grid, self.grid)
        table = functional.interpolate(
            table, size=(height, width), mode="bilinear", align_corners=False
        )
        memory = (res5 + table).flatten(2).transpose(1, 2)
        query = res5.flatten(2).mean(dim=2) + self.positional_embedding[0]
        query = query[:, None].repeat(1, masks.shape[1], 1)
        return self.attend(query, memory, masks.flatten(2) == 0)


class ResNetTower(nn.Module):
    """`visual` of a CLIP model with a ResNet."""

    def __init__(self, config: ResNetConfig, embed_dim: int) -> None:
        """Builds stem, four layers and the attention pool."""
        super().__init__()
        width = config.width
        self.conv1 = nn.Conv2d(3, width // 2, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width // 2)
        self.conv2 = nn.Conv2d(width // 2, width // 2, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width // 2)
        self.conv3 = nn.Conv2d(width // 2, width, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        inplanes = width
        for i, depth in enumerate(config.depths):
            planes = width * 2**i
            blocks = [Bottleneck(inplanes, planes, 1 if i == 0 else 2)]
            blocks += [Bottleneck(4 * planes, planes, 1) for _ in range(depth - 1)]
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
            inplanes = 4 * planes
        self.attnpool = AttentionPool(config, embed_dim)

    def feature_maps(self, image: Tensor) -> list[Tensor]:
        """image: float [B, 3, H, W] normalised → res2…res5, strides 4, 8, 16, 32."""
        x = functional.relu(self.bn1(self.conv1(image)))
        x = functional.relu(self.bn2(self.conv2(x)))
        x = functional.relu(self.bn3(self.conv3(x)))
        x = functional.avg_pool2d(x, 2)
        maps = []
        for i in range(1, 5):
            x = getattr(self, f"layer{i}")(x)
            maps.append(x)
        return maps

    def region_embeddings(self, res5: Tensor, masks: Tensor) -> Tensor:
        """res5 [B, C5, h, w], masks binary float [B, Q, h, w] → out-of-vocabulary [B, Q, D]."""
        return self.attnpool.pool_masks(res5, masks)

    def image_embeddings(self, image: Tensor) -> Tensor:
        """Plain CLIP use; float [B, D], not normalised."""
        return self.attnpool(self.feature_maps(image)[-1])
