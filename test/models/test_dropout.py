"""Dropout by seeds: its share, its scale, and that nothing else decides it."""

import pytest
import torch
import torch.nn.functional as F
from lexiseg_models.configuration import ConfigError, read_config
from lexiseg_models.methods import ovseg
from lexiseg_models.parts.attention import MultiHeadAttention
from lexiseg_models.parts.dropout import Dropout
from lexiseg_models.parts.query_decoder import QueryDecoder, QueryDecoderConfig
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


def test_a_rate_of_one_is_refused():
    raw = read_config("ovseg", "tiny")
    raw["transformer_decoder"] = {**raw["transformer_decoder"], "dropout": 1.0}
    with pytest.raises(ConfigError, match=r"transformer_decoder\.dropout"):
        ovseg.parse_config(raw)
