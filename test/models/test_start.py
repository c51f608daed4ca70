"""Networks that begin with the weights of another bundle."""

import pytest
import torch
from lexiseg_models.export.command import main
from lexiseg_models.export.inspection import read_manifest

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
