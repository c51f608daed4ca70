"""Shared by the model tests: the package on the path, the operators, reference networks."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "models"))

# torchvision's own library may not fit the installed torch; open_clip and timm need only the
# schemas of its operators to be importable.
_TORCHVISION_OPS = (
    "nms qnms roi_align _roi_align_backward roi_pool _roi_pool_backward ps_roi_align "
    "_ps_roi_align_backward ps_roi_pool _ps_roi_pool_backward deform_conv2d "
    "_deform_conv2d_backward"
).split()


@pytest.fixture(scope="session")
def published():
    """open_clip and timm, as published."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in _TORCHVISION_OPS:
        if not hasattr(torch.ops.torchvision, name):
            library.define(f"{name}(Tensor x) -> Tensor")
    import open_clip
    import timm

    yield SimpleNamespace(open_clip=open_clip, timm=timm)


@pytest.fixture(scope="session", autouse=True)
def operators():
    """The native operators; without them nothing here can run."""
    from lexiseg_models.ops import load_ops

    load_ops()


@pytest.fixture
def tiny():
    """The tiny network, freshly built from seed 7; tests may change it."""
    from lexiseg_models.configuration import read_config
    from lexiseg_models.methods import fc_clip

    torch.manual_seed(7)
    return fc_clip.build(fc_clip.parse_config(read_config("fc-clip", "tiny")))


@pytest.fixture
def photograph():
    """uint8 [1, 90, 140, 3] with smooth areas and edges, like a photograph."""
    y, x = torch.meshgrid(torch.arange(90), torch.arange(140), indexing="ij")
    red = 128 + 100 * torch.sin(x / 17.0) * torch.cos(y / 23.0)
    green = 40.0 + 160.0 * ((x // 35 + y // 30) % 2)
    blue = 255.0 * y / 90
    noise = 8 * torch.randn(90, 140, 3, generator=torch.Generator().manual_seed(3))
    pixels = torch.stack((red, green, blue), dim=2) + noise
    return pixels.clamp(0, 255).to(torch.uint8)[None]
