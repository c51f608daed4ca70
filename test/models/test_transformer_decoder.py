"""The query decoder against the published order of work, done the slow way."""

import pytest
import torch
import torch.nn.functional as F
from lexiseg_models.parts.position_encoding import sine_position_encoding
from lexiseg_models.parts.transformer_decoder import TransformerDecoder, TransformerDecoderConfig
from torch import nn

CONFIG = TransformerDecoderConfig(queries=7, width=16, heads=4, layers=5, feed_forward=24)


def torch_attention(ours):
    """PyTorch's own module holding our packed weights."""
    theirs = nn.MultiheadAttention(16, 4, batch_first=True)
    theirs.in_proj_weight, theirs.in_proj_bias = ours.in_weight, ours.in_bias
    theirs.out_proj.weight, theirs.out_proj.bias = ours.out.weight, ours.out.bias
    return theirs.eval()


def slow_decoder(decoder, mask_features, maps):
    """Full mask logits at every layer, resized as logits; rows un-blocked by hand."""
    batch = mask_features.shape[0]
    queries = decoder.query_content.weight.repeat(batch, 1, 1)
    place = decoder.query_position.weight
    memories, codes = [], []
    for i, x in enumerate(maps):
        memories.append(x.flatten(2).transpose(1, 2) + decoder.level_embedding.weight[i])
        codes.append(sine_position_encoding(*x.shape[2:], 16, x.device))
    for i, layer in enumerate(decoder.layers):
        level = i % 3
        masks = torch.einsum(
            "bqc,bchw->bqhw", decoder.mask_embedding(decoder.norm(queries)), mask_features
        )
        resized = F.interpolate(
            masks, size=maps[level].shape[2:], mode="bilinear", align_corners=False
        )
        blocked = (resized.sigmoid() < 0.5).flatten(2)
        for b in range(batch):
            for q in range(blocked.shape[1]):
                if blocked[b, q].all():
                    blocked[b, q] = False
        memory = memories[level]
        mixed, _ = torch_attention(layer.cross_attention)(
            queries + place,
            memory + codes[level],
            memory,
            attn_mask=blocked.repeat_interleave(4, dim=0),
        )
        queries = layer.norm_cross(queries + mixed)
        positioned = queries + place
        mixed, _ = torch_attention(layer.self_attention)(positioned, positioned, queries)
        queries = layer.norm_self(queries + mixed)
        queries = layer.norm_mlp(queries + layer.project(layer.expand(queries).relu()))
    normed = decoder.norm(queries)
    masks = torch.einsum("bqc,bchw->bqhw", decoder.mask_embedding(normed), mask_features)
    return normed, masks


def inputs(batch):
    mask_features = torch.randn(batch, 16, 16, 24)
    maps = [torch.randn(batch, 16, *size) for size in ((2, 3), (4, 6), (8, 12))]
    return mask_features, maps


@pytest.mark.parametrize("batch", [1, 2])
def test_equals_full_masks_resized_at_every_layer(batch):
    torch.manual_seed(0)
    decoder = TransformerDecoder(CONFIG).eval()
    mask_features, maps = inputs(batch)
    with torch.inference_mode():
        normed, masks = decoder(mask_features, maps)
        expected_normed, expected_masks = slow_decoder(decoder, mask_features, maps)
    assert torch.allclose(normed, expected_normed, atol=1e-4)
    assert torch.allclose(masks, expected_masks, atol=1e-3)
    assert (masks > 0).any() and (masks < 0).any()


def test_a_query_blocked_everywhere_sees_everything():
    torch.manual_seed(0)
    decoder = TransformerDecoder(CONFIG).eval()
    features = torch.zeros(1, 16, 10)
    with torch.no_grad():
        decoder.mask_embedding.layers[-1].weight.zero_()
        decoder.mask_embedding.layers[-1].bias.fill_(1.0)
    features[0, :, 4:] = 1.0
    features[0, :, :4] = -1.0
    queries = torch.randn(1, 7, 16)
    assert torch.equal(decoder.visible(queries, features)[0, 0, 0], features[0, 0] > 0)
    assert decoder.visible(queries, -features.abs() - 1).all()


def test_gradients_reach_every_parameter_but_not_through_the_attention_masks():
    torch.manual_seed(0)
    decoder = TransformerDecoder(CONFIG)
    normed, masks = decoder(*inputs(1))
    (masks.square().mean() + normed.square().mean()).backward()
    for name, parameter in decoder.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


def test_memory_in_bfloat16_keeps_the_queries_in_float32():
    torch.manual_seed(0)
    decoder = TransformerDecoder(CONFIG).eval()
    mask_features, maps = inputs(1)
    with torch.inference_mode():
        normed, masks = decoder(mask_features, maps)
        low, low_masks = decoder(mask_features.bfloat16(), [x.bfloat16() for x in maps])
    assert low.dtype == torch.float32 and low_masks.dtype == torch.float32
    assert F.cosine_similarity(low, normed, dim=2).mean() > 0.98
    assert ((low_masks > 0) == (masks > 0)).float().mean() > 0.97
