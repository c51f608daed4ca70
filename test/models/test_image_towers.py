"""The image towers and region heads against timm's and open_clip's with the same weights."""

import pytest
import torch
import torch.nn.functional as F
from lexiseg_models.convert.clip import CONVNEXT_RULES, RESNET_RULES
from lexiseg_models.convert.matching import match_tensors
from lexiseg_models.parts.clip_resnet import AttentionRegionHead, ClipResNet, ClipResNetConfig
from lexiseg_models.parts.convnext import ConvNext, ConvNextConfig, PooledRegionHead
from torch import nn

INSIDE = torch.ones(1, 1, 2, 3)


def fill(theirs, tower, head, rules):
    """Our tower and head holding the published model's weights."""
    ours = nn.Module()
    ours.image_tower, ours.region_head = tower, head
    state = {"visual." + name: tensor for name, tensor in theirs.state_dict().items()}
    renamed, faults = match_tensors(ours, rules, state, "CLIP")
    assert faults == []
    ours.load_state_dict(renamed)
    return ours.eval()


def convnext_pair(published, projection):
    """timm's smallest CLIP-like ConvNeXt inside open_clip's wrapper, and ours."""
    torch.manual_seed(0)
    # timm's own initialisation takes seconds; values of any kind do here.
    with torch.device("meta"):
        theirs = published.open_clip.timm_model.TimmModel(
            "convnext_tiny", 384, image_size=64, pool="", proj=projection, pretrained=False
        )
    theirs = theirs.to_empty(device="cpu").eval()
    for name, parameter in theirs.named_parameters():
        scale = parameter[0].numel() ** -0.5 if parameter.dim() > 1 else 0.3
        nn.init.normal_(parameter, mean=float(name.endswith("gamma")), std=scale)
    config = ConvNextConfig((3, 3, 9, 3), (96, 192, 384, 768), 1e-6, projection)
    head = PooledRegionHead(config, embedding_dim=384)
    return theirs, fill(theirs, ConvNext(config), head, CONVNEXT_RULES)


def resnet_pair(published):
    """open_clip's ResNet with a tiny width, statistics included, and ours."""
    torch.manual_seed(0)
    theirs = published.open_clip.modified_resnet.ModifiedResNet(
        (2, 1, 2, 1), output_dim=24, heads=4, image_size=96, width=8
    ).eval()
    for name, tensor in theirs.state_dict().items():
        if name.endswith("running_mean"):
            nn.init.normal_(tensor, std=0.3)
        elif name.endswith("running_var"):
            nn.init.uniform_(tensor, 0.5, 2.0)
    for name, parameter in theirs.named_parameters():
        if "bn3.weight" in name:
            nn.init.uniform_(parameter, 0.3, 0.9)
    config = ClipResNetConfig((2, 1, 2, 1), width=8, heads=4, position_grid=3)
    head = AttentionRegionHead(config, embedding_dim=24)
    return theirs, fill(theirs, ClipResNet(config), head, RESNET_RULES)


def test_convnext_gives_the_stage_outputs_of_timm(published):
    theirs, ours = convnext_pair(published, "mlp")
    image = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        expected = theirs.trunk.stem(image)
        for stage, actual in zip(theirs.trunk.stages, ours.image_tower(image)):
            expected = stage(expected)
            assert torch.allclose(actual, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("projection", ["mlp", "linear"])
def test_a_mask_over_everything_gives_clips_image_embedding(published, projection):
    theirs, ours = convnext_pair(published, projection)
    image = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        actual = ours.region_head(ours.image_tower(image)[3], INSIDE)
        # The wrapper pools with the trunk's own head when asked for one vector.
        trunk = theirs.trunk
        pooled = trunk.head.norm(trunk.forward_features(image).mean((2, 3), keepdim=True))
        expected = theirs.head(pooled.flatten(1))
    assert torch.allclose(actual[0], expected, atol=1e-4, rtol=1e-4)


def test_resnet_gives_the_layer_outputs_of_open_clip(published):
    theirs, ours = resnet_pair(published)
    image = torch.randn(2, 3, 64, 96)
    with torch.inference_mode():
        expected = theirs.stem(image)
        layers = (theirs.layer1, theirs.layer2, theirs.layer3, theirs.layer4)
        for layer, actual in zip(layers, ours.image_tower(image)):
            expected = layer(expected)
            assert torch.allclose(actual, expected, atol=1e-4, rtol=1e-4)


def slow_attention_pool(head, dense, inside):
    """One query at a time, one head at a time."""
    channels, height, width = dense.shape
    tokens = dense.flatten(1).t()
    grid = head.position_grid
    table = head.position_embedding[1:].t().reshape(1, channels, grid, grid)
    table = F.interpolate(table, size=(height, width), mode="bilinear", align_corners=False)
    keyed = tokens + table[0].flatten(1).t()
    mean = tokens.mean(0) + head.position_embedding[0]
    size = channels // head.heads
    rows = []
    for mask in inside.flatten(1):
        query, key, value = head.query(mean), head.key(keyed[mask]), head.value(keyed[mask])
        mixed = []
        for i in range(head.heads):
            part = slice(i * size, (i + 1) * size)
            weight = (key[:, part] @ query[part] / size**0.5).softmax(0)
            mixed.append(weight @ value[:, part])
        rows.append(head.out(torch.cat(mixed)))
    return torch.stack(rows)


def test_attention_pool_looks_only_inside_the_mask(published):
    _, ours = resnet_pair(published)
    dense = torch.randn(1, 256, 4, 5)
    logits = torch.randn(1, 6, 4, 5)
    with torch.inference_mode():
        actual = ours.region_head(dense, logits)[0]
        expected = slow_attention_pool(ours.region_head, dense[0], logits[0] > 0)
    assert torch.allclose(actual, expected, atol=1e-4, rtol=1e-4)


def test_attention_pool_stays_finite_for_an_empty_mask(published):
    _, ours = resnet_pair(published)
    logits = torch.full((1, 2, 3, 3), -1.0)
    assert torch.isfinite(ours.region_head(torch.randn(1, 256, 3, 3), logits)).all()


def test_statistics_never_change(published):
    _, ours = resnet_pair(published)
    before = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    ours.train()
    ours.image_tower(torch.randn(2, 3, 64, 64))
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, before[name]), name
