"""GKC: synonyms drawn as a teacher sees fit, distances of texts, and what learns."""

from __future__ import annotations

import copy
import json

import pytest
import torch
import torch.nn.functional as F
from lexiseg_models.configuration import ConfigError, config_names, read_config
from lexiseg_models.export.command import main
from lexiseg_models.export.verify import training_batch
from lexiseg_models.methods import gkc, gkc_training
from lexiseg_models.objectives.caption_grounding import CaptionGrounding, CaptionGroundingConfig
from lexiseg_models.objectives.guided_distillation import guided_distillation
from lexiseg_models.objectives.text_diversification import (
    SynonymDraw,
    diversified_texts,
    first_names,
)

BY_SHARE = SynonymDraw(scale=100.0, floor=0.02, even=False)


def unit(rows: int, width: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(rows, width, generator=generator), dim=1)


@pytest.mark.parametrize("name", config_names("gkc"))
def test_every_config_is_sound(name):
    raw = read_config("gkc", name)
    with torch.device("meta"):
        module = gkc_training.build_trainable(raw)
        alone = gkc.build(gkc.parse_config(raw))
    assert gkc_training.groups(module)
    extra = {key.split(".")[0] for key in module.state_dict()} - {
        key.split(".")[0] for key in alone.state_dict()
    }
    assert extra == {"teacher_tower", "region_head", "auxiliary_projections", "distillation"}


def test_the_first_name_of_each_class_is_its_own():
    table = torch.arange(12.0).view(6, 2)
    names = first_names(table, torch.tensor([1, 3, 2]))
    assert torch.equal(names, table[[0, 1, 4]])


def test_synonyms_are_drawn_in_proportion_to_what_the_teacher_sees():
    texts = unit(5, 8, 1)
    counts = torch.tensor([2, 3])
    # Between the second and the third name of the second class, nearer to the second.
    region = F.normalize(0.51 * texts[3] + 0.49 * texts[4], dim=0)
    scores = (100.0 * texts[2:] @ region).softmax(0)
    expected = torch.where(scores < 0.02, 0.0, scores)
    expected = expected / expected.sum()
    draws = 4_000
    seen = (region.expand(draws, -1), torch.ones(draws, dtype=torch.int64), texts, counts)
    rows = BY_SHARE(*seen, torch.arange(draws))
    found = torch.bincount(rows, minlength=5).float() / draws
    assert float(found[:2].sum()) == 0.0
    torch.testing.assert_close(found[2:], expected, atol=0.03, rtol=0.0)
    # The same seeds draw the same.
    assert torch.equal(rows, BY_SHARE(*seen, torch.arange(draws)))
    # A softmax of less sharp scores.
    flat = SynonymDraw(scale=10.0, floor=0.02, even=False)(*seen, torch.arange(draws))
    expected = (10.0 * texts[2:] @ region).softmax(0)
    found = torch.bincount(flat, minlength=5).float() / draws
    torch.testing.assert_close(found[2:], expected, atol=0.03, rtol=0.0)


def test_synonyms_that_pass_may_be_drawn_evenly():
    # Shares of 0.62, 0.31 and 0.07 of the second class.
    texts = torch.eye(5)
    region = torch.zeros(5)
    region[2:] = torch.tensor([0.62, 0.31, 0.07]).log() / 100.0
    draws = 4_000
    seen = (region.expand(draws, -1), torch.ones(draws, dtype=torch.int64), texts)
    counts, seeds = torch.tensor([2, 3]), torch.arange(draws)
    rows = SynonymDraw(scale=100.0, floor=0.1, even=True)(*seen, counts, seeds)
    found = torch.bincount(rows, minlength=5).float() / draws
    torch.testing.assert_close(found, torch.tensor([0, 0, 0.5, 0.5, 0]), atol=0.03, rtol=0.0)


def test_an_unlikely_synonym_is_never_drawn():
    texts = torch.eye(3)
    region = texts[1].expand(500, -1)
    labels = torch.zeros(500, dtype=torch.int64)
    rows = BY_SHARE(region, labels, texts, torch.tensor([3]), torch.arange(500))
    assert rows.unique().tolist() == [1]


def test_where_all_are_alike_the_best_is_taken():
    count = 60
    texts = F.normalize(torch.ones(count, 4) + 1e-6 * torch.randn(count, 4), dim=1)
    labels = torch.zeros(9, dtype=torch.int64)
    seen = (texts[:1].expand(9, -1), labels, texts, torch.tensor([count]))
    rows = BY_SHARE(*seen, torch.arange(9))
    assert rows.unique().numel() == 1


def test_an_image_goes_by_the_synonyms_that_its_segments_drew():
    # Names of the classes are rows 0, 2 and 5; the first image shows class 1 by two synonyms.
    synonym_counts = torch.tensor([2, 3, 1])
    labels, drawn = torch.tensor([1, 0, 1, 1, 1]), torch.tensor([4, 0, 3, 4, 2])
    texts = diversified_texts(labels, drawn, [4, 0, 1], synonym_counts)
    assert [rows.tolist() for rows in texts.rows] == [[0, 4, 5, 3], [0, 2, 5], [0, 2, 5]]
    assert texts.slots.tolist() == [1, 0, 3, 1, 1]


def test_the_loss_of_synonyms_equals_a_loop_over_queries(network):
    dim = network.class_head.projection.weight.shape[0]
    embeddings = unit(2 * 3, dim, 20).view(2, 3, dim)
    texts = [unit(4, dim, 21), unit(2, dim, 22)]
    query, slots = torch.tensor([0, 2, 4]), torch.tensor([3, 0, 1])
    kept = torch.tensor([True, False, True])
    with torch.no_grad():
        found = network.synonym_loss(embeddings, texts, query, slots, kept)
        void, scale = network.void_embedding()[0], network.classifier.scale()
        means = {0: 3, 4: 1}
        total = weights = 0.0
        for q in (0, 1, 3, 4, 5):
            image = q // 3
            rows = torch.cat((texts[image], void[None]))
            target = means[q] if q in means else len(rows) - 1
            weight = 1.0 if q in means else network.objective.void_weight
            logits = scale * (rows @ embeddings.flatten(0, 1)[q])
            total += weight * -float(logits.log_softmax(0)[target])
            weights += weight
    assert float(found) == pytest.approx(total / weights, rel=1e-4)


def test_distillation_equals_a_loop_over_pairs():
    students, teachers, names = unit(4, 6, 5), unit(4, 6, 6), unit(4, 6, 7)
    total = 0.0
    for i in range(4):
        for j in range(4):
            given = float((students[i] - teachers[j]).norm())
            total += abs(given - float((names[i] - names[j]).norm()))
    loss = guided_distillation(students, teachers, names)
    assert float(loss) == pytest.approx(total / 4, rel=2e-3)


def test_equal_names_are_plain_distillation_and_slopes_stay_finite():
    teachers, names = unit(1, 6, 8), unit(1, 6, 9)
    students = teachers.clone().requires_grad_(True)
    loss = guided_distillation(students, teachers, names)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0.0, abs=1e-3)
    assert bool(torch.isfinite(students.grad).all())


def test_grounding_equals_a_loop_over_images_and_captions():
    grounding = CaptionGrounding(CaptionGroundingConfig(weight=3.0, regions=4, temperature=0.1))
    regions = unit(12, 6, 10).view(3, 4, 6)
    words, scale = unit(5, 6, 11), 7.0
    # The second caption has no word: its image takes no part.
    captions = [(0, words[:2]), (2, words[2:])]
    scores = torch.zeros(2, 2)
    for i, (image, _) in enumerate(captions):
        for j, (_, own) in enumerate(captions):
            there = [
                float((((own[w] @ r_) / 0.1).softmax(0) * (own[w] @ r_)).sum())
                for w in range(len(own))
                for r_ in [regions[image].t()]
            ]
            back = [
                float((((r @ own.t()) / 0.1).softmax(0) * (r @ own.t())).sum())
                for r in regions[image]
            ]
            scores[i, j] = (sum(there) / len(there) + sum(back) / len(back)) / 2
    logits = scale * scores
    expected = -(logits.log_softmax(1).diag().mean() + logits.log_softmax(0).diag().mean()) / 2
    found = grounding(regions, words, torch.tensor([2, 0, 3]), torch.tensor(scale))
    torch.testing.assert_close(found, 3.0 * expected)
    none = grounding(regions, words[:2], torch.tensor([2, 0, 0]), torch.tensor(scale))
    assert float(none) == 0.0


def test_regions_that_are_something_are_compared():
    grounding = CaptionGrounding(CaptionGroundingConfig(weight=1.0, regions=2, temperature=0.1))
    embeddings = unit(4, 6, 12).view(1, 4, 6)
    chosen = grounding.choose(embeddings, torch.tensor([[3.0, -1.0, 2.0, -2.0]]))
    assert torch.equal(chosen, embeddings[:, [3, 1]])


@pytest.fixture(scope="module")
def network() -> gkc_training.TrainableGkc:
    torch.manual_seed(1)
    return gkc_training.build_trainable(read_config("gkc", "tiny"))


def test_classes_are_a_softmax_over_names_and_void(network):
    image = torch.randint(0, 256, (1, 60, 80, 3), dtype=torch.uint8)
    texts = unit(4, network.class_head.projection.weight.shape[0], 3)
    with torch.no_grad():
        proposals = network.propose_masks(image)
        counts = torch.tensor([1, 2, 1])
        found = network.classify_masks(proposals, texts, counts, torch.zeros(3, dtype=torch.bool))
        regions = proposals[1]
        cosines = regions @ torch.cat((texts, network.void_embedding())).t()
        logits = network.classifier.scale() * cosines
        best = torch.stack(
            (logits[..., 0], logits[..., 1:3].amax(2), logits[..., 3], logits[..., 4]), dim=2
        )
    torch.testing.assert_close(found, best.log_softmax(2), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.exp().sum(2), torch.ones(found.shape[:2]))


def test_the_teacher_and_the_texts_never_learn(network):
    frozen = {n for g in gkc_training.groups(network) if g["frozen"] for n in g["parameters"]}
    assert {n.split(".")[0] for n in frozen} == {"teacher_tower", "region_head", "text_encoder"}
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    dim = network.class_head.projection.weight.shape[0]
    losses = network.losses(training_batch("panoptic", dim))
    torch.stack(list(losses.values())).sum().backward()
    learning = {n for n, p in network.named_parameters() if p.grad is not None}
    network.requires_grad_(False)
    assert not any(n.startswith(("teacher_tower", "region_head")) for n in learning)
    assert {"synonym", "distillation", "class", "mask", "dice"} <= set(losses)
    assert {"auxiliary_projections.0.weight", "class_head.prior.weight"} <= learning
    layers = len(network.auxiliary_projections)
    assert {f"distillation.{i}.weight" for i in range(layers + 1)} <= learning


def test_without_their_weights_the_additions_cost_nothing():
    raw = copy.deepcopy(read_config("gkc", "tiny"))
    calibration = raw["objective"]["calibration"]
    calibration["synonym_weight"] = calibration["distillation_weight"] = 0.0
    module = gkc_training.build_trainable(raw)
    dim = module.class_head.projection.weight.shape[0]
    with torch.no_grad():
        losses = module.losses(training_batch("panoptic", dim))
    assert not {"synonym", "distillation"} & set(losses)


def test_the_teacher_may_be_followed_by_what_is_compared_with_texts():
    raw = copy.deepcopy(read_config("gkc", "tiny"))
    raw["objective"]["calibration"]["student"] = "embedding"
    torch.manual_seed(2)
    module = gkc_training.build_trainable(raw)
    for parameter in module.parameters():
        parameter.requires_grad_(True)
    dim = module.class_head.projection.weight.shape[0]
    module.losses(training_batch("panoptic", dim))["distillation"].backward()
    learning = {n.split(".")[0] for n, p in module.named_parameters() if p.grad is not None}
    assert {"class_head", "auxiliary_projections"} <= learning
    assert "distillation" not in learning
    raw["objective"]["calibration"]["student"] = "pupil"
    with pytest.raises(ConfigError, match="prior, embedding for objective.calibration.student"):
        gkc_training.build_trainable(raw)


@pytest.mark.parametrize(
    ("name", "value"), [("synonym_scale", 0.0), ("synonym_floor", 1.0), ("region_dropout", 1.0)]
)
def test_numbers_that_would_switch_synonyms_off_are_refused(name: str, value: float):
    raw = copy.deepcopy(read_config("gkc", "tiny"))
    raw["objective"]["calibration"][name] = value
    with pytest.raises(ConfigError, match=f"objective.calibration.{name}"):
        gkc_training.build_trainable(raw)


def test_distances_may_be_those_of_the_synonyms_drawn():
    raw = copy.deepcopy(read_config("gkc", "tiny"))
    losses = []
    for names in ("plain", "drawn"):
        # Every synonym is as probable, so that some are not the plain name.
        raw["objective"]["calibration"].update(
            distance_names=names, synonym_draw="even", synonym_floor=0.0, synonym_scale=1.0
        )
        torch.manual_seed(2)
        module = gkc_training.build_trainable(raw)
        dim = module.class_head.projection.weight.shape[0]
        batch = training_batch("panoptic", dim)
        batch["class_embeddings"] = unit(12, dim, 13)
        batch["synonym_counts"] = torch.tensor([4, 4, 4])
        with torch.no_grad():
            losses.append(module.losses(batch))
    plain, drawn = losses
    assert float(plain["synonym"]) == pytest.approx(float(drawn["synonym"]))
    assert float(plain["distillation"]) != pytest.approx(float(drawn["distillation"]))


def test_words_of_captions_reach_the_regions_and_not_the_texts():
    raw = copy.deepcopy(read_config("gkc", "tiny"))
    raw["objective"]["grounding"]["weight"] = 2.0
    torch.manual_seed(2)
    module = gkc_training.build_trainable(raw)
    for parameter in module.parameters():
        parameter.requires_grad_(True)
    dim = module.class_head.projection.weight.shape[0]
    batch = training_batch("panoptic", dim)
    losses = module.losses(batch)
    losses["grounding"].backward()
    learning = {n.split(".")[0] for n, p in module.named_parameters() if p.grad is not None}
    assert float(losses["grounding"].detach()) > 0.0
    assert "class_head" in learning and "text_encoder" not in learning
    del batch["word_ids"], batch["word_counts"]
    # Other processes may have words: the loss is there, and nothing.
    assert float(module.losses(batch)["grounding"].detach()) == 0.0


def test_images_without_segments_are_no_fault(network):
    dim = network.class_head.projection.weight.shape[0]
    batch = training_batch("panoptic", dim)
    batch["mask_counts"] = torch.tensor([3, 0])
    with torch.no_grad():
        one = network.losses(batch)
        batch["mask_counts"] = torch.tensor([0, 0])
        batch["masks"], batch["labels"] = batch["masks"][:0], batch["labels"][:0]
        none = network.losses(batch)
    for losses in (one, none):
        assert all(bool(torch.isfinite(value)) for value in losses.values())


@pytest.fixture
def export_tiny(tmp_path):
    """Exports at random: a CLIP by its seed, or the method with a CLIP's shape of towers."""

    def clip(seed: int) -> str:
        out = str(tmp_path / f"clip-{seed}.pt")
        start = ["export", "clip", "--config", "tiny", "--random-init", "--seed", str(seed)]
        assert main([*start, "--out", out]) == 0
        return out

    def student(*weights: str) -> str:
        config, out = tmp_path / "small.json", str(tmp_path / "gkc.pt")
        tower = read_config("clip", "tiny")["clip"]
        config.write_text(json.dumps({"extends": "tiny", "clip": tower}))
        own = ["export", "gkc", "--config", str(config), "--random-init", "--trainable"]
        assert main([*own, *weights, "--out", out]) == 0
        return out

    return clip, student


def tensors_of(bundle: str) -> dict[str, torch.Tensor]:
    return torch.jit.load(bundle).state_dict()


def test_the_teacher_begins_as_the_clip_that_the_student_begins_with(export_tiny):
    clip, student = export_tiny
    given = clip(3)
    taken = tensors_of(student("--clip", given))
    for name, tensor in tensors_of(given).items():
        if name.startswith("image_tower."):
            assert torch.equal(taken[name], tensor)
            assert torch.equal(taken[name.replace("image_tower", "teacher_tower")], tensor)
        elif name.startswith(("region_head.", "text_encoder.")):
            assert torch.equal(taken[name], tensor)


def test_the_backbone_may_be_another_than_the_teachers(export_tiny):
    clip, student = export_tiny
    teacher, other = clip(3), clip(4)
    taken = tensors_of(student("--clip", teacher, "--tower", other))
    taught = tensors_of(teacher)
    own = tensors_of(other)
    trunk = [name for name in own if name.startswith("image_tower.")]
    assert any(not torch.equal(own[name], taught[name]) for name in trunk)
    for name in trunk:
        assert torch.equal(taken[name], own[name])
        assert torch.equal(taken[name.replace("image_tower", "teacher_tower")], taught[name])
    for name in (name for name in taught if name.startswith(("region_head.", "text_encoder."))):
        assert torch.equal(taken[name], taught[name])


def test_a_backbone_of_another_shape_is_refused(export_tiny, tmp_path, capsys):
    clip, _ = export_tiny
    own = ["export", "gkc", "--config", "demo", "--random-init", "--tower", clip(3)]
    assert main([*own, "--out", str(tmp_path / "out.pt")]) == 1
    said = capsys.readouterr().err
    assert "misshapen tower: image_tower." in said or "missing   tower: image_tower." in said
