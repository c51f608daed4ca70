"""The losses against loops written from the recipe, and what must not change them."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from lexiseg_models.configuration import read_config
from lexiseg_models.methods import clip, fc_clip_training
from lexiseg_models.objectives.contrastive import Contrastive
from lexiseg_models.objectives.mask_classification import (
    MaskClassification,
    MaskClassificationConfig,
    Segments,
)
from lexiseg_models.objectives.mask_matching import matching_cost
from lexiseg_models.objectives.parameter_groups import parameter_groups
from lexiseg_models.objectives.sample_points import sample_at
from lexiseg_models.uniform_points import mix_seeds, uniform_points

CONFIG = MaskClassificationConfig(
    class_weight=2.0,
    mask_weight=5.0,
    dice_weight=5.0,
    void_weight=0.1,
    points=64,
    oversampling=3.0,
    importance=0.75,
)


def bce(logit: float, target: float) -> float:
    return max(logit, 0.0) - logit * target + math.log1p(math.exp(-abs(logit)))


def sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


def splitmix(state: int, stream: int) -> int:
    mask = (1 << 64) - 1
    z = (state + 0x9E3779B97F4A7C15 * (stream + 1)) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


@pytest.mark.parametrize("seed", [0, 1, -1, 2**62, -(2**63)])
@pytest.mark.parametrize("stream", [0, 3, 21])
def test_seeds_are_mixed_as_splitmix64_says(seed, stream):
    mixed = int(mix_seeds(torch.tensor([seed]), stream))
    assert mixed % (1 << 64) == splitmix(seed % (1 << 64), stream)


def test_points_are_uniform_and_follow_from_the_seed_alone():
    points = uniform_points(torch.tensor([7, 8, 7]), 20_000)
    assert points.shape == (3, 20_000, 2) and points.dtype == torch.float32
    assert torch.equal(points[0], points[2]) and not torch.equal(points[0], points[1])
    assert float(points.min()) >= 0.0 and float(points.max()) < 1.0
    counts = torch.histc(points[0].flatten(), bins=20, min=0.0, max=1.0)
    # Chi-square with 19 degrees of freedom: 45.3 is its 99.94th percentile.
    assert float(((counts - 2000) ** 2 / 2000).sum()) < 45.3
    correlation = torch.corrcoef(points[0].t())[0, 1]
    assert abs(float(correlation)) < 0.03


def test_sampling_is_bilinear_with_half_pixel_centres_and_zero_outside():
    maps = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    points = torch.tensor([[[0.25, 0.25], [0.5, 0.5], [0.75, 0.25], [0.0, 0.25]]])
    assert torch.allclose(sample_at(maps, points), torch.tensor([[1.0, 2.5, 2.0, 0.5]]))


def test_matching_costs_equal_the_recipe_written_as_loops():
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(4, 6, generator=generator)
    labels = torch.tensor([5 - 1, 0, 2])
    predicted = 3 * torch.randn(4, 9, generator=generator)
    true = torch.rand(3, 9, generator=generator)
    weights = torch.tensor([2.0, 5.0, 5.0], dtype=torch.float64)
    cost = matching_cost(logits, labels, predicted, true, weights)
    for q, t in itertools.product(range(4), range(3)):
        exps = [math.exp(float(x)) for x in logits[q]]
        chosen = exps[int(labels[t])] / sum(exps)
        pairs = [(float(x), float(y)) for x, y in zip(predicted[q], true[t], strict=True)]
        entropy = sum(bce(x, y) for x, y in pairs) / len(pairs)
        both = sum(sigmoid(x) * y for x, y in pairs)
        sizes = sum(sigmoid(x) for x, _ in pairs) + sum(y for _, y in pairs)
        dice = 1 - (2 * both + 1) / (sizes + 1)
        assert float(cost[q, t]) == pytest.approx(-2 * chosen + 5 * entropy + 5 * dice, abs=1e-5)


def example(images: int = 2, queries: int = 5, layers: int = 2, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    class_logits = [torch.randn(images, queries, 4, generator=generator) for _ in range(layers)]
    mask_logits = [
        2 * torch.randn(images, queries, 8, 12, generator=generator) for _ in range(layers)
    ]
    counts = [2, 1, 3, 0][:images]
    masks = (torch.rand(sum(counts), 16, 24, generator=generator) > 0.6).float()
    labels = torch.randint(0, 3, (sum(counts),), generator=generator)
    segments = Segments(masks, labels, counts, torch.arange(11, 11 + images))
    return class_logits, mask_logits, segments


def test_the_final_losses_equal_loops_over_queries_and_points():
    objective = MaskClassification(CONFIG)
    class_logits, mask_logits, segments = example(layers=1)
    losses = objective(class_logits, mask_logits, segments)
    assert sorted(losses) == ["class", "dice", "mask"]
    query, segment = objective.match(class_logits[0], mask_logits[0], segments, 0)
    assert sorted(segment.tolist()) == [0, 1, 2]
    flat = mask_logits[0].flatten(0, 1)
    entropy = dice = 0.0
    starts = {0: 0, 1: 0, 2: 2}
    for q, s in zip(query.tolist(), segment.tolist(), strict=True):
        image = 0 if s < 2 else 1
        base = mix_seeds(segments.seeds[image : image + 1], 1) + (s - starts[s])
        points = objective.choose_points(flat[q : q + 1], base)
        logits = sample_at(flat[q : q + 1], points)[0].tolist()
        inside = sample_at(segments.masks[s : s + 1], points)[0].tolist()
        pairs = list(zip(logits, inside, strict=True))
        entropy += sum(bce(x, y) for x, y in pairs) / len(pairs)
        both = sum(sigmoid(x) * y for x, y in pairs)
        sizes = sum(sigmoid(x) + y for x, y in pairs)
        dice += 1 - (2 * both + 1) / (sizes + 1)
    assert float(losses["mask"]) == pytest.approx(5 * entropy / 3, rel=1e-5)
    assert float(losses["dice"]) == pytest.approx(5 * dice / 3, rel=1e-5)
    target = torch.full((10,), 3)
    target[query] = segments.labels[segment]
    weight = torch.tensor([1.0, 1.0, 1.0, 0.1])
    expected = F.cross_entropy(class_logits[0].flatten(0, 1), target, weight)
    assert float(losses["class"]) == pytest.approx(2 * float(expected), rel=1e-5)


def test_points_are_mostly_where_the_prediction_is_unsure():
    objective = MaskClassification(CONFIG)
    ramp = torch.linspace(-8, 8, 32).expand(1, 32, 32).contiguous()
    points = objective.choose_points(ramp, torch.tensor([5]))
    assert points.shape == (1, 64, 2)
    doubt = sample_at(ramp, points)[0].abs()
    # A quarter of the candidates around the middle are the least sure 48 of 192.
    assert int((doubt < 2.2).sum()) >= 48
    assert int((doubt > 3.0).sum()) >= 4


def test_every_prediction_has_a_matching_and_a_share_in_the_auxiliary_losses():
    objective = MaskClassification(CONFIG)
    class_logits, mask_logits, segments = example(layers=3)
    losses = objective(class_logits, mask_logits, segments)
    last = objective(class_logits[2:], mask_logits[2:], segments)
    assert set(losses) == {
        f"{name}{suffix}" for name in ("class", "mask", "dice") for suffix in ("", "_auxiliary")
    }
    assert float(losses["class"]) == pytest.approx(float(last["class"]), rel=1e-2)
    first = objective(class_logits[:1], mask_logits[:1], segments)
    assert float(losses["dice_auxiliary"]) > float(first["dice"])


def test_images_side_by_side_give_the_mean_of_images_alone():
    objective = MaskClassification(CONFIG)
    class_logits, mask_logits, segments = example(layers=1)
    together = objective(class_logits, mask_logits, segments)
    total = 0.0
    for image, (start, end) in enumerate(((0, 2), (2, 3))):
        one = Segments(
            segments.masks[start:end],
            segments.labels[start:end],
            [end - start],
            segments.seeds[image : image + 1],
        )
        row = slice(image, image + 1)
        alone = objective([class_logits[0][row]], [mask_logits[0][row]], one)
        total += float(alone["mask"]) * (end - start)
    assert float(together["mask"]) == pytest.approx(total / 3, rel=1e-5)


def test_an_image_without_segments_teaches_void():
    objective = MaskClassification(CONFIG)
    class_logits, mask_logits, _ = example(images=1, layers=1)
    nothing = Segments(
        torch.zeros(0, 16, 24), torch.zeros(0, dtype=torch.int64), [0], torch.tensor([1])
    )
    losses = objective(class_logits, mask_logits, nothing)
    assert float(losses["mask"]) == 0.0 and float(losses["dice"]) == 0.0
    expected = F.cross_entropy(class_logits[0][0], torch.full((5,), 3))
    assert float(losses["class"]) == pytest.approx(2 * float(expected), rel=1e-5)


def test_a_cost_that_is_not_finite_is_refused_by_name():
    objective = MaskClassification(CONFIG)
    class_logits, mask_logits, segments = example(layers=1)
    mask_logits[0][0, 3] = math.nan
    with pytest.raises(RuntimeError, match=r"row 3"):
        objective(class_logits, mask_logits, segments)


def test_counts_that_do_not_add_up_are_refused():
    module = fc_clip_training.build_trainable(read_config("fc-clip", "tiny"))
    batch = {
        "images": torch.zeros(1, 64, 64, 3, dtype=torch.uint8),
        "masks": torch.zeros(2, 64, 64, dtype=torch.uint8),
        "labels": torch.zeros(2, dtype=torch.int64),
        "mask_counts": torch.tensor([1]),
        "seeds": torch.tensor([0]),
        "class_embeddings": F.normalize(torch.randn(3, 64), dim=1),
        "synonym_counts": torch.ones(3, dtype=torch.int64),
    }
    with pytest.raises(ValueError, match="mask_counts"):
        module.losses(batch)


def test_the_contrastive_loss_equals_the_formula_and_ignores_the_order_of_pairs():
    generator = torch.Generator().manual_seed(1)
    image = F.normalize(torch.randn(6, 8, generator=generator), dim=1)
    text = F.normalize(torch.randn(6, 8, generator=generator), dim=1)
    scale = torch.tensor(14.3)
    losses = Contrastive()(image, text, scale)
    rows = columns = 0.0
    for i in range(6):
        logits = [[14.3 * float(image[a] @ text[b]) for b in range(6)] for a in range(6)]
        rows += math.log(sum(math.exp(x) for x in logits[i])) - logits[i][i]
        column = [logits[a][i] for a in range(6)]
        columns += math.log(sum(math.exp(x) for x in column)) - logits[i][i]
    assert float(losses["image_to_text"]) == pytest.approx(0.5 * rows / 6, rel=1e-5)
    assert float(losses["text_to_image"]) == pytest.approx(0.5 * columns / 6, rel=1e-5)
    order = torch.randperm(6, generator=generator)
    again = Contrastive()(image[order], text[order], scale)
    assert float(again["image_to_text"]) == pytest.approx(float(losses["image_to_text"]), rel=1e-5)


def test_frozen_towers_get_no_gradient_and_everything_else_does():
    module = fc_clip_training.build_trainable(read_config("fc-clip", "tiny"))
    groups = fc_clip_training.groups(module)
    frozen = {name for group in groups if group["frozen"] for name in group["parameters"]}
    named = dict(module.named_parameters())
    assert {name for group in groups for name in group["parameters"]} == set(named)
    for name, parameter in named.items():
        parameter.requires_grad_(name not in frozen)
    batch = {
        "images": torch.randint(0, 256, (2, 64, 96, 3), dtype=torch.uint8),
        "masks": (torch.rand(3, 64, 96) > 0.5).to(torch.uint8),
        "labels": torch.tensor([0, 1, 2]),
        "mask_counts": torch.tensor([1, 2]),
        "seeds": torch.tensor([1, 2]),
        "class_embeddings": F.normalize(torch.randn(4, 64), dim=1),
        "synonym_counts": torch.tensor([2, 1, 1]),
    }
    losses = module.losses(batch)
    torch.stack(list(losses.values())).sum().backward()
    for name, parameter in named.items():
        assert (parameter.grad is None) == (name in frozen), name
        assert parameter.grad is None or bool(torch.isfinite(parameter.grad).all()), name


def test_norms_and_embeddings_do_not_decay_but_biases_do():
    module = fc_clip_training.build_trainable(read_config("fc-clip", "tiny"))
    exempt = {
        name
        for group in fc_clip_training.groups(module)
        if not group["decayed"]
        for name in group["parameters"]
    }
    assert "transformer_decoder.query_content.weight" in exempt
    assert "pixel_decoder.layers.0.norm_mlp.bias" in exempt
    assert "pixel_decoder.level_embedding" not in exempt
    assert "pixel_decoder.mask_features.bias" not in exempt
    assert "in_vocabulary_classifier.logit_scale" not in exempt
    gains = {
        name
        for group in clip.groups(clip.build_trainable(read_config("clip", "demo")))
        if not group["decayed"]
        for name in group["parameters"]
    }
    assert "classifier.logit_scale" in gains
    assert "image_tower.stages.0.0.depthwise.bias" in gains
    assert "text_encoder.token_embedding.weight" not in gains


def test_a_parameter_of_no_part_is_an_error():
    module = clip.build(clip.parse_config(read_config("clip", "demo")))
    with pytest.raises(ValueError, match="one part"):
        parameter_groups(module, clip.PARTS[:1], lambda *_: False)
