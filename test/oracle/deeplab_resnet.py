"""DeepLab's ResNet with detectron2's names: frozen statistics, dilated last stage."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class FrozenNorm(nn.Module):
    """Batch norm that never learns."""

    def __init__(self, width: int) -> None:
        """Four buffers, as published."""
        super().__init__()
        for name in ("weight", "bias", "running_mean", "running_var"):
            value = torch.ones(width) if name in ("weight", "running_var") else torch.zeros(width)
            self.register_buffer(name, value)

    def forward(self, x: Tensor) -> Tensor:
        """x: [1, C, h, w] → same shape."""
        scale = self.weight / (self.running_var + 1e-5).sqrt()
        shift = self.bias - self.running_mean * scale
        return x * scale[None, :, None, None] + shift[None, :, None, None]


class Conv(nn.Conv2d):
    """A convolution that carries its norm."""

    def __init__(self, in_width: int, width: int, kernel: int, stride: int, dilation: int) -> None:
        """No bias."""
        padding = dilation * (kernel // 2)
        super().__init__(in_width, width, kernel, stride, padding, dilation, bias=False)
        self.norm = FrozenNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """x: [1, Cin, h, w] → [1, C, h', w']."""
        return self.norm(super().forward(x))


class Stem(nn.Module):
    """Three convolutions and a maximum."""

    def __init__(self, width: int) -> None:
        """width: of the output."""
        super().__init__()
        self.conv1 = Conv(3, width // 2, 3, 2, 1)
        self.conv2 = Conv(width // 2, width // 2, 3, 1, 1)
        self.conv3 = Conv(width // 2, width, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x: [1, 3, H, W] → [1, width, H/4, W/4]."""
        for conv in (self.conv1, self.conv2, self.conv3):
            x = functional.relu(conv(x))
        return functional.max_pool2d(x, 3, 2, 1)


class Bottleneck(nn.Module):
    """The stride lies in the 3×3 convolution."""

    def __init__(self, in_width: int, inner: int, stride: int, dilation: int) -> None:
        """The output has 4 · inner channels."""
        super().__init__()
        self.conv1 = Conv(in_width, inner, 1, 1, 1)
        self.conv2 = Conv(inner, inner, 3, stride, dilation)
        self.conv3 = Conv(inner, 4 * inner, 1, 1, 1)
        changes = in_width != 4 * inner or stride != 1
        self.shortcut = Conv(in_width, 4 * inner, 1, stride, 1) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        """x: [1, Cin, h, w] → [1, 4 · inner, h', w']."""
        y = functional.relu(self.conv1(x))
        y = self.conv3(functional.relu(self.conv2(y)))
        return functional.relu(y + (x if self.shortcut is None else self.shortcut(x)))


class DeepLabResNet(nn.Module):
    """The backbone."""

    def __init__(self, blocks: tuple[int, ...], width: int, stem: int) -> None:
        """width: inner channels of res2."""
        super().__init__()
        self.stem = Stem(stem)
        in_width = stem
        for i, count in enumerate(blocks):
            parts = []
            for j in range(count):
                dilation = 2 ** min(j, 2) if i == 3 else 1
                parts.append(Bottleneck(in_width, width * 2**i, 2 if i and not j else 1, dilation))
                in_width = 4 * width * 2**i
            self.add_module(f"res{i + 2}", nn.Sequential(*parts))

    def forward(self, image: Tensor) -> list[Tensor]:
        """image: [1, 3, H, W] → res2 to res5."""
        x = self.stem(image)
        features = []
        for i in range(2, 6):
            x = getattr(self, f"res{i}")(x)
            features.append(x)
        return features
