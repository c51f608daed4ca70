"""Networks that begin with the weights of another bundle."""

import json
import zipfile
from pathlib import Path

import pytest
import torch
from lexiseg_models.export.command import main
from lexiseg_models.export.inspection import read_manifest

DEMO = Path(__file__).parents[2] / "models" / "bundles" / "demo-fc-clip.pt"
RANDOM = ["--config", "tiny", "--random-init", "--dtype", "bfloat16"]


def export(method, out, *more):
    return main(["export", method, *RANDOM, "--out", str(out), *more])


def weights(path):
    return torch.jit.load(str(path)).state_dict()


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    out = tmp_path_factory.mktemp("start") / "given.pt"
    assert export("fc-clip", out, "--seed", "3") == 0
    return out


def test_a_network_to_train_takes_every_weight_of_its_like(given, tmp_path, capsys):
    out = tmp_path / "to-train.pt"
    assert export("fc-clip", out, "--seed", "4", "--start", str(given), "--trainable") == 0
    theirs, ours = weights(given), weights(out)
    assert set(theirs) <= set(ours)
    assert all(torch.equal(ours[name].to(tensor.dtype), tensor) for name, tensor in theirs.items())
    assert f"{len(ours)} of {len(ours)} tensors" in capsys.readouterr().err
    assert "begun with given.pt" in read_manifest(out)["weights"]["source"]


def test_another_method_takes_what_fits_and_says_what_does_not(given, tmp_path, capsys):
    out, plain = tmp_path / "gkc.pt", tmp_path / "plain.pt"
    assert export("gkc", out, "--seed", "4", "--start", str(given)) == 0
    assert "as they were: class_head.prior" in capsys.readouterr().err
    assert export("gkc", plain, "--seed", "4") == 0
    theirs, ours, without = weights(given), weights(out), weights(plain)
    fitting = [name for name in ours if name in theirs and theirs[name].shape == ours[name].shape]
    assert any(name.startswith("pixel_decoder.") for name in fitting)
    assert all(torch.equal(ours[name], theirs[name]) for name in fitting)
    rest = set(ours) - set(fitting)
    assert rest and all(torch.equal(ours[name], without[name]) for name in rest)


def test_what_is_no_start_is_refused_by_name(given, tmp_path, capsys):
    text, cut = tmp_path / "text.pt", tmp_path / "cut.pt"
    text.write_text("hello")
    cut.write_bytes(given.read_bytes()[:-100])
    for start, what in ((text, "not a bundle"), (cut, "not a bundle"), ("gone.pt", "no such file")):
        out = tmp_path / "out.pt"
        assert export("fc-clip", out, "--start", str(start)) == 1
        assert what in capsys.readouterr().err
        assert not out.exists()


def test_a_checkpoint_and_a_start_are_one_too_many(given, tmp_path, capsys):
    what = ["export", "fc-clip", "--config", "tiny", "--out", str(tmp_path / "out.pt")]
    assert main([*what, "--checkpoint", "model.pth", "--start", str(given)]) == 2
    assert "--start with --random-init" in capsys.readouterr().err


def test_weights_are_trained_where_everything_given_was(given, tmp_path):
    trained = tmp_path / "trained.pt"
    store_as_trained(given, trained)
    out = tmp_path / "whole.pt"
    assert export("fc-clip", out, "--start", str(trained)) == 0
    weights_of = read_manifest(out)["weights"]
    assert weights_of["kind"] == "trained"
    assert weights_of["source"] == "begun with trained.pt"
    assert export("fc-clip", out, "--start", str(given)) == 0
    assert read_manifest(out)["weights"]["kind"] == "random"
    assert export("gkc", out, "--start", str(trained)) == 0
    part = read_manifest(out)["weights"]
    assert part["kind"] == "random"
    assert part["source"] == "begun with trained.pt; the rest: random initialisation, seed 0"


def test_the_classes_that_a_start_was_trained_on_stay_known(given, tmp_path):
    out = tmp_path / "demo.pt"
    begin = ["export", "fc-clip", "--config", "demo", "--random-init", "--start", str(DEMO)]
    assert main([*begin, "--out", str(out)]) == 0
    classes = read_manifest(out)["trainingClasses"]
    assert len(classes) > 100 and classes == read_manifest(DEMO)["trainingClasses"]
    # A config that names classes means those.
    assert export("fc-clip", out, "--start", str(DEMO)) == 0
    assert read_manifest(out)["trainingClasses"] == read_manifest(given)["trainingClasses"]


def store_as_trained(bundle, out):
    """The same bundle, called trained."""
    with zipfile.ZipFile(bundle) as archive, zipfile.ZipFile(out, "w") as target:
        for entry in archive.infolist():
            content = archive.read(entry)
            if entry.filename.endswith("/extra/manifest.json"):
                manifest = json.loads(content)
                manifest["weights"]["kind"] = "trained"
                content = json.dumps(manifest).encode()
            target.writestr(zipfile.ZipInfo(entry.filename), content)


def test_random_mask_prompts_are_refused_where_other_weights_are_given(tmp_path, capsys):
    start = tmp_path / "start.pt"
    assert (
        main(["export", "ovseg", "--config", "tiny_regions", *RANDOM[2:], "--out", str(start)]) == 0
    )
    out = tmp_path / "out.pt"
    assert export("ovseg", out, "--start", str(start)) == 1
    assert "mask_prompts.tokens: give a CLIP that has them" in capsys.readouterr().err
    assert not out.exists()
