"""A convolution with the stored statistics of its norm."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class ConvNorm(nn.Module):
    """Convolution without bias, then BatchNorm with its stored statistics."""

    def __init__(
        self, in_width: int, width: int, *, kernel: int = 1, stride: int = 1, dilation: int = 1
    ) -> None:
        """Same padding for odd kernels."""
        super().__init__()
        self.conv = nn.Conv2d(
            in_width,
            width,
            kernel,
            stride=stride,
            padding=dilation * (kernel // 2),
            dilation=dilation,
            bias=False,
        )
        self.norm = nn.BatchNorm2d(width)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """[B, Cin, h, w] to [B, C, h / stride, w / stride]; statistics are never updated."""
        return F.batch_norm(
            self.conv(x),
            self.norm.running_mean,
            self.norm.running_var,
            self.norm.weight,
            self.norm.bias,
            False,
            0.0,
            self.norm.eps,
        )
