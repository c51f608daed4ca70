"""Writing a bundle: manifest, hash, verification, atomicity, the command line."""

import json
import os
import subprocess
import sys
import zipfile

import pytest
import torch
from conftest import REPOSITORY
from lexiseg_models.configuration import ConfigError, read_config
from lexiseg_models.export import bundle, verify
from lexiseg_models.export.archive import BundleError, read_extra_file, weights_sha256
from lexiseg_models.export.command import main
from lexiseg_models.export.contract import (
    Composition,
    Interface,
    prompt_templates,
    tokenizer_merges,
    training_classes,
)
from lexiseg_models.export.inspection import read_manifest
from lexiseg_models.export.manifest_faults import check_manifest, manifest_faults
from lexiseg_models.export.verify import VerificationError
from lexiseg_models.methods import fc_clip

SHIPPED = REPOSITORY / "models" / "bundles" / "tiny-fc-clip.pt"
RANDOM = ["--random-init", "--seed", "7"]
BFLOAT16 = ("--dtype", "bfloat16")


def export(out, *more):
    return main(["export", "fc-clip", "--config", "tiny", "--out", str(out), *more])


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("bundle") / "plain.pt"
    assert export(out, *RANDOM, "--dtype", "bfloat16") == 0
    return out


def test_the_manifest_says_what_the_contract_asks(written):
    manifest = read_manifest(written)
    assert manifest_faults(manifest) == []
    assert manifest["formatVersion"] == 1
    assert manifest["methods"] == ["encode_text", "propose_masks", "classify_masks"]
    assert manifest["proposals"] == [
        "mask_logits",
        "in_vocabulary_embeddings",
        "out_of_vocabulary_embeddings",
        "mask_valid",
        "network_size",
        "valid_size",
        "query_embeddings",
    ]
    assert manifest["stages"][0] == "stage_preprocess"
    assert manifest["tokenizer"] == {
        "kind": "clip-bpe",
        "merges": "tokenizer/merges.txt",
        "startId": 49406,
        "endId": 49407,
        "vocabSize": 49408,
        "lowerCase": True,
    }
    assert manifest["image"]["sizeRule"] == {"shortestEdge": 256, "longestEdge": 512}
    assert manifest["thresholds"] == {"objectMask": 0.0, "overlap": 0.8, "instanceTopK": 100}
    assert manifest["ensemble"] == {"alpha": 0.4, "beta": 0.8, "onValidMaskOnly": False}
    assert manifest["weights"]["kind"] == "random"
    assert manifest["weights"]["seed"] == 7
    assert manifest["weights"]["dtype"] == "bfloat16"


def test_the_templates_are_the_fourteen_of_vild():
    templates = prompt_templates("vild_14")
    assert len(templates) == len(set(templates)) == 14
    assert templates[0] == "a photo of a {}."
    assert sum(template.endswith(".") for template in templates) == 10
    assert "There is a large {} in the scene." in templates
    assert "There is the {} in the scene" in templates


def test_the_training_classes_are_those_of_coco_panoptic():
    classes = training_classes("coco_panoptic")
    assert len(classes) == 133
    assert sum(len(entry["synonyms"]) for entry in classes) == 254
    assert sum(entry["thing"] for entry in classes) == 80
    assert classes[0]["synonyms"][:3] == ["person", "child", "girl"]


def test_the_merges_are_those_of_clip(published):
    merges = tokenizer_merges().decode("utf-8").splitlines()
    assert len(merges) == 48_894
    tokenizer = published.open_clip.tokenizer.SimpleTokenizer()
    assert [tuple(line.split(" ")) for line in merges] == list(tokenizer.bpe_ranks)


def test_the_hash_covers_the_weights_and_not_the_manifest(written, tmp_path):
    assert read_manifest(written)["weights"]["sha256"] == weights_sha256(written)
    for record, same in (("extra/manifest.json", True), ("data.pkl", False), ("data/3", False)):
        changed = tmp_path / "changed.pt"
        with zipfile.ZipFile(written) as source, zipfile.ZipFile(changed, "w") as target:
            for info in source.infolist():
                content = source.read(info)
                if info.filename == f"{written.stem}/{record}":
                    content = content[:-1] + bytes([content[-1] ^ 1])
                target.writestr(info.filename, content)
        assert (weights_sha256(changed) == weights_sha256(written)) == same, record


def test_records_are_stored_and_hold_no_path_of_this_machine(written):
    with zipfile.ZipFile(written) as archive:
        for info in archive.infolist():
            assert info.compress_type == zipfile.ZIP_STORED
            if not info.filename.startswith("small/data/"):
                assert str(REPOSITORY).encode() not in archive.read(info), info.filename


def test_kept_modules_are_float32_and_the_rest_is_cast(written):
    kept = tuple(read_manifest(written)["keepFloat32"])
    for name, tensor in torch.jit.load(str(written)).state_dict().items():
        if tensor.is_floating_point():
            expected = torch.float32 if name.startswith(kept) else torch.bfloat16
            assert tensor.dtype == expected, name
    modules = dict(torch.jit.load(str(written)).named_modules())
    assert all(name in modules for name in kept)


def run_module(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "lexiseg_models", *arguments],
        cwd=REPOSITORY / "models",
        env={**os.environ, "PYTHONHASHSEED": "random"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_shipped_bundle_is_what_its_command_writes(tmp_path):
    out = tmp_path / "tiny-fc-clip.pt"
    done = run_module(
        "export",
        "fc-clip",
        "--config",
        "tiny",
        *RANDOM,
        "--trainable",
        *BFLOAT16,
        "--out",
        str(out),
    )
    assert done.returncode == 0, done.stderr
    assert "verified" in done.stderr
    assert SHIPPED.stat().st_size < 5_000_000
    expected, actual = dict(read_manifest(SHIPPED)), dict(read_manifest(out))
    assert weights_sha256(SHIPPED) == expected["weights"]["sha256"]
    if expected["torchVersion"] == actual["torchVersion"]:
        assert actual == expected
    else:
        for manifest in (expected, actual):
            del manifest["torchVersion"], manifest["weights"]
        assert actual == expected


def test_inspect_labels_random_weights(written):
    done = run_module("inspect", str(written))
    assert done.returncode == 0
    assert "RANDOM" in done.stdout and "(checked)" in done.stdout


def test_a_packed_bundle_is_smaller_and_the_same(written, tmp_path, capsys):
    out, again = tmp_path / "packed.pt", tmp_path / "again.pt"
    assert main(["pack", str(written), "--out", str(out)]) == 0
    assert out.stat().st_size < 0.9 * written.stat().st_size
    assert f"wrote {out}" in capsys.readouterr().err
    expected, actual = read_manifest(written), read_manifest(out)
    promised = actual["weights"].pop("sha256")
    assert promised == weights_sha256(out) != expected["weights"].pop("sha256")
    assert actual == expected
    loaded, plain = torch.jit.load(str(out)), torch.jit.load(str(written))
    assert all(
        torch.equal(mine, own)
        for mine, own in zip(loaded.state_dict().values(), plain.state_dict().values(), strict=True)
    )
    with zipfile.ZipFile(out) as archive:
        for entry in archive.infolist():
            folder = entry.filename.split("/")[1]
            assert entry.compress_type == zipfile.ZIP_STORED or folder in ("data", "constants")
    assert main(["pack", str(out), "--out", str(again)]) == 0
    assert again.read_bytes() == out.read_bytes()


def test_what_is_no_bundle_is_not_packed(written, tmp_path, capsys):
    out = tmp_path / "packed.pt"
    damaged = tmp_path / "damaged.pt"
    content = bytearray(written.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    assert main(["pack", str(damaged), "--out", str(out)]) == 1
    assert "not those that its manifest promises" in capsys.readouterr().err
    assert main(["pack", str(written), "--out", str(tmp_path / "packed.zip")]) == 2
    assert main(["pack", str(tmp_path / "absent.pt"), "--out", str(out)]) == 1
    assert not out.exists()


def test_help_shows_examples(capsys):
    for arguments in (["--help"], ["export", "--help"]):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 0
        assert "--checkpoint fcclip_cocopan.pth --clip" in capsys.readouterr().out


@pytest.mark.parametrize(
    "more, code, message",
    [
        ([], 2, "either --checkpoint or --random-init"),
        ([*RANDOM, "--checkpoint", "x.pth"], 2, "either --checkpoint or --random-init"),
        ([*RANDOM, "--clip", "x"], 1, "neither a file"),
        (["--random-init", "--seed", "-1"], 2, "--seed"),
        (["--checkpoint", "absent.pth", "--clip", "x"], 1, "absent.pth is not a file"),
    ],
)
def test_wrong_use_ends_with_a_code_and_writes_nothing(tmp_path, capsys, more, code, message):
    out = tmp_path / "x.pt"
    assert export(out, *more) == code
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_config_lists_the_known_ones(tmp_path, capsys):
    arguments = ["export", "fc-clip", "--config", "huge", *RANDOM, "--out", str(tmp_path / "x.pt")]
    assert main(arguments) == 2
    assert "convnext_large_d_320" in capsys.readouterr().err


def test_a_graph_that_differs_is_never_written(tmp_path, monkeypatch, capsys):
    # The eager module is changed behind the exporter's back once it has been scripted.
    scripted = bundle.script

    def script_then_change(module):
        result = scripted(module)
        module.void_embedding.weight = torch.nn.Parameter(-module.void_embedding.weight)
        return result

    monkeypatch.setattr(bundle, "script", script_then_change)
    assert export(tmp_path / "x.pt", *RANDOM) == 1
    assert "classify_masks" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_comparison_sees_values_shapes_and_what_is_not_finite():
    one = torch.tensor([1.0, 2.0])
    assert verify.relative_difference(one, torch.tensor([1.0, 2.2])) == pytest.approx(0.1, rel=1e-5)
    assert verify.relative_difference(one, one.double()) == float("inf")
    assert verify.relative_difference(one, one[:1]) == float("inf")
    assert verify.relative_difference(one, one / 0) == float("inf")
    assert verify.relative_difference(one[:0], one[:0]) == 0.0
    with pytest.raises(VerificationError, match="masks: 0.5"):
        verify.compare([("masks", one)], [("masks", torch.tensor([2.0, 2.0]))])


@pytest.mark.parametrize(
    "change, fault",
    [
        ({"embeddingDim": "64"}, "embeddingDim"),
        ({"formatVersion": True}, "formatVersion"),
        ({"formatVersion": 2}, "formatVersion 1"),
        ({"promptTemplates": ["no hole"]}, "promptTemplates"),
        (
            {"trainingClasses": [{"name": "cat", "synonyms": [], "thing": True}]},
            "trainingClasses[0]",
        ),
        ({"weights": {"kind": "found"}}, "weights.kind"),
        ({"colour": 1}, "Unknown field colour"),
        ({"embeddingDim": 65_537}, "1 to 65536 for embeddingDim"),
        ({"ensemble": {"alpha": 1.5}}, "0 to 1 for ensemble.alpha"),
        ({"image": {"mean": [-1.0, 2.0, 3.0]}}, "0 to 1e+06 for image.mean"),
    ],
)
def test_manifest_faults_are_named(written, change, fault):
    assert any(fault in line for line in manifest_faults({**read_manifest(written), **change}))


def test_a_config_without_sound_thresholds_is_refused_before_any_work():
    raw = read_config("fc-clip", "tiny")
    interface = Interface(fc_clip.METHODS, fc_clip.STAGES, fc_clip.TASKS, [], [])
    for key, value in (
        ("thresholds", {"overlap": 0.8}),
        ("thresholds", {**raw["thresholds"], "overlap": 80}),
        ("prompt_templates", "none"),
        ("training_vocabulary", "../coco"),
    ):
        with pytest.raises(ConfigError):
            check_manifest(Composition("fc-clip", {**raw, key: value}, interface))


@pytest.mark.parametrize("size", [(64, 96), (32, 160)])
def test_made_up_masks_lie_on_the_made_up_images(size):
    batch = verify.training_batch("panoptic", 8, size=size)
    assert tuple(batch["images"].shape[1:3]) == tuple(batch["masks"].shape[1:]) == size
    assert bool(batch["masks"].flatten(1).any(1).all()), "a mask is empty"


def test_files_that_are_no_bundles_are_refused(tmp_path, capsys):
    text = tmp_path / "text.pt"
    text.write_text("hello")
    plain = tmp_path / "plain.pt"
    torch.save({"a": torch.zeros(1)}, plain)
    squeezed = tmp_path / "squeezed.pt"
    with zipfile.ZipFile(squeezed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/extra/manifest.json", json.dumps({}) * 100)
    swollen = tmp_path / "swollen.pt"
    with zipfile.ZipFile(swollen, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data/0", bytes(1 << 20))
    for path, message in (
        (swollen, "inflates far too much"),
        (text, "not a bundle"),
        (plain, "not a lexiseg"),
        (squeezed, "compressed"),
    ):
        with pytest.raises(BundleError, match=message):
            read_extra_file(path, "manifest.json")
        assert main(["inspect", str(path)]) == 1
    assert main(["inspect", str(tmp_path / "absent.pt")]) == 1
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize("method, config", [("clip", "demo"), ("fc-clip", "tiny")])
def test_a_trainable_bundle_carries_its_loss_and_its_groups(tmp_path, method, config):
    out = tmp_path / "train.pt"
    arguments = ["export", method, "--config", config, "--random-init", "--trainable"]
    assert main([*arguments, "--out", str(out)]) == 0
    training = read_manifest(out)["training"]
    assert training["batch"] == ("image-text" if method == "clip" else "panoptic")
    loaded = torch.jit.load(str(out))
    names = {name for group in training["groups"] for name in group["parameters"]}
    assert names == {name for name, _ in loaded.named_parameters()}
    assert hasattr(loaded, "losses")


def test_decoders_may_be_random_beside_the_towers_of_a_clip_bundle(tmp_path):
    clip, out = tmp_path / "clip.pt", tmp_path / "fc.pt"
    start = ["export", "clip", "--config", "demo", "--random-init", "--seed", "3"]
    assert main([*start, "--out", str(clip)]) == 0
    own = ["export", "fc-clip", "--config", "demo", "--random-init", "--clip", str(clip)]
    assert main([*own, "--out", str(out)]) == 0
    given, taken = torch.jit.load(str(clip)).state_dict(), torch.jit.load(str(out)).state_dict()
    shared = [name for name in given if name.startswith(("image_tower", "text_encoder"))]
    assert len(shared) > 100
    assert all(torch.equal(given[name], taken[name]) for name in shared)
    scale = taken["out_of_vocabulary_classifier.logit_scale"]
    assert torch.equal(scale, given["classifier.logit_scale"])
    assert "clip.pt" in read_manifest(out)["weights"]["source"]


@pytest.mark.parametrize("config", ["tiny", "tiny_prompts_regions"])
def test_the_clip_of_any_bundle_may_be_taken_with_its_mask_prompts(tmp_path, config):
    adapted, out = tmp_path / "adapted.pt", tmp_path / "out.pt"
    start = ["export", "ovseg", "--random-init", "--trainable", "--seed", "3"]
    assert main([*start, "--config", "tiny_prompts_regions", "--out", str(adapted)]) == 0
    own = ["export", "ovseg", "--config", config, "--random-init", "--clip", str(adapted)]
    assert main([*own, "--out", str(out)]) == 0
    given, taken = (torch.jit.load(str(path)).state_dict() for path in (adapted, out))
    parts = ("image_tower.", "text_encoder.", "mask_prompts.")
    shared = [name for name in taken if name.startswith(parts)]
    assert "mask_prompts.tokens" in shared
    assert all(torch.equal(given[name], taken[name]) for name in shared)


def test_a_bundle_without_mask_prompts_is_no_clip_for_a_config_with_them(tmp_path, capsys):
    tuned, out = tmp_path / "tuned.pt", tmp_path / "out.pt"
    start = ["export", "ovseg", "--random-init", "--trainable", "--seed", "3"]
    assert main([*start, "--config", "tiny_regions", "--out", str(tuned)]) == 0
    tensors = dict(torch.jit.load(str(tuned)).named_parameters())
    assert "text_encoder.projection" in tensors and "mask_prompts.tokens" not in tensors
    own = ["export", "ovseg", "--config", "tiny", "--random-init", "--clip", str(tuned)]
    assert main([*own, "--out", str(out)]) == 1
    assert "(1 faults)" in (fault := capsys.readouterr().err) and "regions.prompts" in fault
    assert not out.exists()
    # They are learned on it.
    begin = [*start, "--config", "tiny_prompts_regions", "--clip", str(tuned)]
    assert main([*begin, "--out", str(out)]) == 0
    begun = dict(torch.jit.load(str(out)).named_parameters())
    assert begun["mask_prompts.tokens"].abs().amax() > 0
    assert torch.equal(begun["image_tower.projection"], tensors["image_tower.projection"])
