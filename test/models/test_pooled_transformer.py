"""The attention-pooled tower against PyTorch, and parts of images against whole ones."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from lexiseg_models.parts.pooled_transformer import (
    AttentionPool,
    PooledTransformer,
    PooledTransformerConfig,
)
from torch import Tensor, nn


@pytest.fixture(scope="module")
def tower() -> PooledTransformer:
    torch.manual_seed(3)
    config = PooledTransformerConfig(8, 6, 48, 4, 2, "gelu")
    return PooledTransformer(config, embedding_dim=32).eval()


@pytest.fixture(scope="module")
def image() -> Tensor:
    return torch.randn(2, 3, 48, 64, generator=torch.Generator().manual_seed(4))


def test_reads_as_pytorchs_attention_does():
    torch.manual_seed(5)
    pool = AttentionPool(width=48, heads=4, activation="gelu")
    published = nn.MultiheadAttention(48, 4, batch_first=True)
    for parameter in (pool.attention.in_bias, pool.attention.out.bias):
        nn.init.normal_(parameter)
    names = {"in_weight": "in_proj_weight", "in_bias": "in_proj_bias"}
    state = {
        names.get(k, k.replace("out.", "out_proj.")): v
        for k, v in pool.attention.state_dict().items()
    }
    published.load_state_dict(state)
    tokens = torch.randn(3, 10, 48)
    with torch.no_grad():
        x, _ = published(pool.query.expand(3, 1, -1), tokens, tokens)
        expected = x + F.linear(
            F.gelu(F.linear(pool.norm(x), pool.expand.weight, pool.expand.bias)),
            pool.project.weight,
            pool.project.bias,
        )
        assert torch.allclose(pool(tokens), expected[:, 0], atol=1e-5)


def test_a_part_is_what_its_own_tokens_give():
    torch.manual_seed(6)
    pool = AttentionPool(width=48, heads=4, activation="gelu")
    tokens = torch.randn(2, 12, 48)
    cover = torch.zeros(3, 12)
    cover[0, 2:7] = 0.5
    cover[1, 4] = 1.0
    cover[2] = 0.1
    with torch.no_grad():
        parts = pool.of_parts(tokens, torch.tensor([1, 0, 1]), cover)
        assert torch.allclose(parts[0], pool(tokens[1:, 2:7])[0], atol=1e-5)
        assert torch.allclose(parts[1], pool(tokens[:1, 4:5])[0], atol=1e-5)
        assert torch.allclose(parts[2], pool(tokens)[1], atol=1e-5)


def test_a_token_that_counts_twice_is_as_two():
    torch.manual_seed(7)
    pool = AttentionPool(width=48, heads=4, activation="gelu")
    tokens = torch.randn(1, 3, 48)
    twice = torch.cat([tokens, tokens[:, 1:2]], dim=1)
    with torch.no_grad():
        part = pool.of_parts(tokens, torch.tensor([0]), torch.tensor([[1.0, 2.0, 1.0]]))
        assert torch.allclose(part, pool(twice), atol=1e-5)


def test_embeds_what_the_query_reads(tower, image):
    with torch.no_grad():
        read, grid = tower(image, 8)
        assert read.shape == (2, 48) and grid.shape == (2, 48, 6, 8)
        expected = F.normalize(read @ tower.projection, dim=1)
        assert torch.allclose(tower.embed_images(image), expected, atol=1e-5)
        whole = tower.embed_parts(image, torch.arange(2), torch.ones(2, 48))
        assert torch.allclose(whole, expected, atol=1e-5)


def test_every_parameter_learns_from_the_embedding(tower, image):
    tower.zero_grad()
    tower.embed_images(image).sum().backward()
    assert all(p.grad is not None for p in tower.parameters())


def test_a_smaller_stride_gives_a_finer_grid(tower, image):
    with torch.no_grad():
        _, dense = tower(image, 4)
    assert dense.shape == (2, 48, 1 + (48 - 8) // 4, 1 + (64 - 8) // 4)
    with pytest.raises(ValueError, match="stride"):
        tower(image, 9)


def test_scripts_and_gives_the_same(tower, image):
    scripted = torch.jit.script(tower)
    with torch.no_grad():
        for one, other in zip(tower(image, 4), scripted(image, 4), strict=True):
            assert torch.allclose(one, other, atol=1e-6)
