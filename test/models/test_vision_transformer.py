"""The vision transformer against open_clip's with the same weights."""

import pytest
import torch
import torch.nn.functional as F
from lexiseg_models.convert.clip import VISION_TRANSFORMER_RULES
from lexiseg_models.convert.matching import match_tensors
from lexiseg_models.parts.vision_transformer import VisionTransformer, VisionTransformerConfig
from torch import nn

TEXT = {"context_length": 77, "vocab_size": 100, "width": 32, "heads": 2, "layers": 1}


def pair(published, quick=False, grid=7):
    """open_clip's tower and ours holding its weights: 16 pixels a patch."""
    vision = {"layers": 3, "width": 64, "head_width": 16, "image_size": 16 * grid, "patch_size": 16}
    clip = published.open_clip.model.CLIP(48, vision, dict(TEXT), quick_gelu=quick).eval()
    for parameter in clip.parameters():
        nn.init.normal_(parameter, std=0.1 if parameter.dim() > 1 else 0.5)
    activation = "quick_gelu" if quick else "gelu"
    config = VisionTransformerConfig(16, grid, 64, 4, 3, activation)
    ours = nn.Module()
    ours.image_tower = VisionTransformer(config, embedding_dim=48)
    state = {k: v for k, v in clip.state_dict().items() if k.startswith("visual.")}
    renamed, faults = match_tensors(ours, VISION_TRANSFORMER_RULES, state, "CLIP")
    assert faults == []
    ours.load_state_dict(renamed)
    return clip, ours.image_tower.eval()


@pytest.mark.parametrize("quick", [False, True])
def test_gives_the_embedding_and_the_tokens_of_open_clip(published, quick):
    clip, ours = pair(published, quick)
    clip.visual.output_tokens = True
    image = torch.randn(2, 3, 112, 112)
    with torch.no_grad():
        pooled, tokens = clip.visual(image)
        class_token, grid = ours(image, 16)
    assert torch.allclose(ours.embed(class_token), F.normalize(pooled, dim=1), atol=1e-5)
    with torch.no_grad():
        assert torch.allclose(ours.embed_images(image), ours.embed(class_token), atol=1e-6)
    # open_clip gives patch tokens after the last norm, as we do.
    assert torch.allclose(grid.flatten(2).transpose(1, 2), tokens, atol=1e-4)


def test_the_class_token_alone_teaches_what_it_would_among_all(published):
    _, ours = pair(published)
    image, wanted = torch.randn(2, 3, 112, 144), torch.randn(2, 48)
    gradients = []
    for embed in (ours.embed_images, lambda image: ours.embed(ours(image, 16)[0])):
        ours.zero_grad()
        (embed(image) * wanted).sum().backward()
        gradients.append({name: p.grad for name, p in ours.named_parameters()})
    for name, expected in gradients[1].items():
        assert torch.allclose(gradients[0][name], expected, atol=1e-4), name


def test_resizes_positions_as_open_clip_does(published):
    small, ours = pair(published, grid=7)
    large, _ = pair(published, grid=10)
    state = {k: v for k, v in small.state_dict().items()}
    published.open_clip.model.resize_pos_embed(state, large)
    large.load_state_dict(state)
    image = torch.randn(1, 3, 160, 160)
    with torch.no_grad():
        expected = F.normalize(large.encode_image(image), dim=1)
        assert torch.allclose(ours.embed(ours(image, 16)[0]), expected, atol=1e-5)


def test_the_trained_grid_is_not_resampled(published):
    _, ours = pair(published)
    assert ours.positions(7, 7) is ours.position_embedding


def test_a_smaller_stride_keeps_the_patches_it_shares(published):
    _, ours = pair(published)
    image = torch.randn(1, 3, 112, 128)
    with torch.no_grad():
        _, dense = ours(image, 4)
        coarse = F.conv2d(image, ours.patches.weight, stride=16)
        fine = F.conv2d(image, ours.patches.weight, stride=4)
    assert dense.shape == (1, 64, 1 + (112 - 16) // 4, 1 + (128 - 16) // 4)
    assert torch.allclose(fine[:, :, ::4, ::4], coarse, atol=1e-5)


def test_scripts_and_gives_the_same(published):
    _, ours = pair(published)
    scripted = torch.jit.script(ours)
    image = torch.randn(2, 3, 96, 128)
    with torch.no_grad():
        for one, other in zip(ours(image, 8), scripted(image, 8), strict=True):
            assert torch.allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("stride", [0, 17])
def test_refuses_a_stride_that_leaves_gaps(published, stride):
    _, ours = pair(published)
    with pytest.raises(ValueError, match="stride"):
        ours(torch.zeros(1, 3, 112, 112), stride)
