"""Dropout by seeds: its share, its scale, and that nothing else decides it."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from lexiseg_models.configuration import ConfigError, read_config
from lexiseg_models.methods import ovseg, ovseg_training
from lexiseg_models.parts.attention import MultiHeadAttention
from lexiseg_models.parts.dropout import Dropout
from lexiseg_models.parts.query_decoder import QueryDecoder, QueryDecoderConfig
from lexiseg_models.parts.swin import Swin, SwinBlock, SwinConfig
from torch import Tensor, nn

SEEDS = torch.tensor([3, 4, 3])


class Decoding(nn.Module):
    """A decoder as a method calls it."""

    def __init__(self, decoder: QueryDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, maps: Tensor, seeds: Tensor | None = None) -> list[Tensor]:
        return self.decoder.decode(maps, seeds)


def decoder(rate: float) -> QueryDecoder:
    torch.manual_seed(2)
    shape = QueryDecoderConfig(6, 16, 2, 2, 32, 16, rate)
    return QueryDecoder(shape, in_width=8, embedding_dim=12)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_the_share_that_is_zero_and_the_mean_that_stays(rate):
    x = torch.ones(3, 40, 251)
    dropped = Dropout(rate)(x, SEEDS, 0)
    assert (dropped == 0).float().mean() == pytest.approx(rate, abs=0.02)
    assert dropped.unique().tolist() == pytest.approx([0.0, 1.0 / (1.0 - rate)])


def test_only_the_seed_and_the_place_decide():
    dropout, x = Dropout(0.5), torch.ones(3, 101)
    dropped = dropout(x, SEEDS, 7)
    assert torch.equal(dropped[0], dropped[2])
    assert torch.equal(dropped[:1], dropout(x[:1], SEEDS[:1], 7))
    for other in (dropped[1], dropout(x, SEEDS, 8)[0]):
        # Two independent halves agree in a half of the places.
        assert 0.3 < (dropped[0] == other).float().mean() < 0.7


def test_an_image_is_dropped_or_kept_as_a_whole():
    seeds = torch.arange(400)
    dropped = Dropout(0.25).drop_images(torch.ones(400, 3, 2, 5), seeds, 1).flatten(1)
    assert torch.equal(dropped, dropped[:, :1].expand(-1, 30))
    assert dropped.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert (dropped[:, 0] == 0).float().mean() == pytest.approx(0.25, abs=0.06)


def test_a_block_leaves_out_either_branch_of_an_image():
    torch.manual_seed(5)
    block = SwinBlock(width=8, heads=2, window=2, shift=0, drop_path=0.5, index=3)
    x, seeds = torch.randn(1, 3, 4, 8), torch.arange(400)
    with torch.no_grad():
        found = block(x.expand(400, -1, -1, -1), seeds)
        outcomes = []
        for first, second in itertools.product((0.0, 2.0), repeat=2):
            mixed = x + first * block.attend(block.norm_attention(x))
            outcomes.append(mixed + second * block.project(block.expand(block.norm_mlp(mixed))))
        whole = block(x)
    counts = [
        sum(torch.allclose(one, outcome[0], atol=1e-5) for one in found) for outcome in outcomes
    ]
    assert sum(counts) == 400 and min(counts) > 60
    assert not any(torch.allclose(whole, outcome, atol=1e-2) for outcome in outcomes)


def test_a_tower_drops_more_of_its_last_blocks():
    tower = Swin(SwinConfig(4, 8, (1, 2, 1, 1), (1, 2, 2, 2), 3, 0.4))
    rates = [block.drop_path.rate for stage in tower.stages for block in stage]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    places = [block.place for stage in tower.stages for block in stage]
    assert len({place + i for place in places for i in range(2)}) == 10


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_proposals_learn_with_what_the_seeds_leave_of_their_backbone(rate):
    raw = read_config("ovseg", "tiny")
    raw["backbone"] = {**raw["backbone"], "drop_path": rate}
    raw["transformer_decoder"] = {**raw["transformer_decoder"], "dropout": 0.0}
    torch.manual_seed(6)
    module = ovseg_training.build_trainable(raw)
    batch = {
        "images": torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8),
        "masks": torch.ones(2, 64, 64, dtype=torch.uint8),
        "labels": torch.tensor([0, 1]),
        "mask_counts": torch.tensor([1, 1]),
        "class_embeddings": F.normalize(torch.randn(2, 64), dim=1),
        "synonym_counts": torch.tensor([1, 1]),
    }
    with torch.no_grad():
        one, same, other = (
            sum(module.losses({**batch, "seeds": torch.tensor(seeds)}).values())
            for seeds in ([1, 2], [1, 2], [3, 4])
        )
    assert torch.equal(one, same)
    assert torch.equal(one, other) == (rate == 0.0)


def test_without_seeds_or_a_rate_nothing_changes():
    x = torch.randn(3, 5)
    assert Dropout(0.5)(x, None, 0) is x
    assert Dropout(0.0)(x, SEEDS, 0) is x
    with pytest.raises(ValueError, match="less than 1"):
        Dropout(1.0)


def test_attention_drops_weights_after_the_softmax():
    torch.manual_seed(1)
    attention = MultiHeadAttention(width=8, heads=2)
    x, memory = torch.randn(3, 4, 8), torch.randn(3, 5, 8)
    whole = torch.ones(3, 2, 4, 5)
    plain = attention.attend_memory(x, memory, memory)
    torch.testing.assert_close(
        attention.attend_memory(x, memory, memory, factors=whole), plain, rtol=1e-4, atol=1e-5
    )
    # With one key left, and twice its weight, a query reads that key's value alone.
    only = torch.zeros(3, 2, 4, 5)
    only[..., 2] = 2.0
    found = attention.attend_memory(x, memory, memory, factors=only)
    weight, bias = attention.in_weight, attention.in_bias
    query, key, value = (
        F.linear(source, weight[i * 8 : i * 8 + 8], bias[i * 8 : i * 8 + 8])
        for i, source in enumerate((x, memory, memory))
    )
    for b in range(3):
        for n in range(4):
            parts = []
            for head in range(2):
                at = slice(4 * head, 4 * head + 4)
                scores = key[b, :, at] @ query[b, n, at] / 2.0
                parts.append(2.0 * scores.softmax(0)[2] * value[b, 2, at])
            torch.testing.assert_close(found[b, n], attention.out(torch.cat(parts)))
    same = attention.attend_self(x, x, torch.ones(3, 2, 4, 4))
    torch.testing.assert_close(same, attention.attend_self(x, x), rtol=1e-4, atol=1e-5)


def test_a_decoder_drops_only_where_it_is_given_seeds():
    maps = torch.randn(3, 8, 3, 4)
    dropping, plain = decoder(0.5), decoder(0.0)
    for one, other in zip(dropping.decode(maps), plain.decode(maps)):
        assert torch.equal(one, other)
    for one, other in zip(plain.decode(maps, SEEDS), plain.decode(maps)):
        assert torch.equal(one, other)
    seeded = dropping.decode(maps, SEEDS)[-1]
    assert torch.equal(seeded, dropping.decode(maps, SEEDS)[-1])
    assert not torch.allclose(seeded, dropping.decode(maps)[-1], atol=0.1)
    scripted = torch.jit.script(Decoding(dropping))
    torch.testing.assert_close(scripted(maps, SEEDS)[-1], seeded)
    torch.testing.assert_close(scripted(maps)[-1], dropping.decode(maps)[-1])


@pytest.mark.parametrize(
    "part, name", [("transformer_decoder", "dropout"), ("backbone", "drop_path")]
)
def test_a_rate_of_one_is_refused(part, name):
    raw = read_config("ovseg", "tiny")
    raw[part] = {**raw[part], name: 1.0}
    with pytest.raises(ConfigError, match=rf"{part}\.{name}"):
        ovseg.parse_config(raw)
