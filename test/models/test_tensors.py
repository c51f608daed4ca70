"""Weights files: what the safetensors package writes is read; broken files are refused."""

import json
import struct

import pytest
import torch
from lexiseg_models.convert.tensors import (
    CheckpointError,
    find_clip_file,
    read_safetensors,
    read_tensors,
)
from safetensors.torch import save_file


def write(path, header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"x": {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}}


def test_reads_what_the_safetensors_package_writes(tmp_path):
    tensors = {
        "a": torch.randn(3, 4),
        "half": torch.randn(5).half(),
        "bf": torch.randn(2, 2).bfloat16(),
        "count": torch.tensor(7),
        "flags": torch.tensor([True, False, True]),
        "none": torch.zeros(0, 3),
        "scalar": torch.tensor(2.5),
    }
    save_file(tensors, tmp_path / "m.safetensors", metadata={"format": "pt"})
    actual = read_tensors(tmp_path / "m.safetensors")
    assert actual.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert actual[name].dtype == tensor.dtype
        assert torch.equal(actual[name], tensor)


def test_reads_data_that_is_not_aligned(tmp_path):
    header = {
        "flag": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
        "x": {"dtype": "F32", "shape": [2], "data_offsets": [1, 9]},
    }
    data = b"\x05" + struct.pack("<2f", 1.5, -2.0)
    for padding in range(4):
        text = json.dumps(header).encode() + b" " * padding
        tensors = read_safetensors(write(tmp_path / "m.safetensors", text, data))
        assert tensors["x"].tolist() == [1.5, -2.0]


@pytest.mark.parametrize(
    "header, data, message",
    [
        (entry(), b"\0" * 4, "outside the file"),
        (entry(offsets=(8, 0)), b"\0" * 8, "outside the file"),
        (entry(offsets=(0, 4)), b"\0" * 8, "disagree"),
        (entry(shape=(1 << 62, 8)), b"\0" * 8, "disagree"),
        (entry(shape=(-2,)), b"\0" * 8, "whole numbers for shape"),
        (entry(shape=(2.0,)), b"\0" * 8, "whole numbers for shape"),
        (entry(shape=(True, 2)), b"\0" * 8, "whole numbers for shape"),
        (entry(shape=(1,) * 40), b"\0" * 8, "whole numbers for shape"),
        (entry(offsets=(0, 8, 9)), b"\0" * 9, "data_offsets"),
        (entry(offsets=(0,)), b"\0" * 8, "data_offsets"),
        (entry(dtype="F8"), b"\0" * 8, "Unknown dtype"),
        (entry(dtype=["F32"]), b"\0" * 8, "Unknown dtype"),
        ({"x": 3}, b"", "Expected an object"),
        ([], b"", "not an object"),
        (b"{", b"", "not JSON"),
        (b"\xff\xfe", b"", "not JSON"),
        (b"[" * 100_000, b"", "not JSON"),
    ],
)
def test_refuses_a_broken_header(tmp_path, header, data, message):
    with pytest.raises(CheckpointError, match=message):
        read_safetensors(write(tmp_path / "m.safetensors", header, data))


@pytest.mark.parametrize("data", [b"", b"\x01", struct.pack("<Q", 1 << 60) + b"{}"])
def test_refuses_a_file_that_is_cut_short(tmp_path, data):
    (tmp_path / "m.safetensors").write_bytes(data)
    with pytest.raises(CheckpointError, match=r"too short|announces"):
        read_safetensors(tmp_path / "m.safetensors")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04" + b"\0" * 60])
def test_refuses_a_file_that_pytorch_cannot_read(tmp_path, content):
    (tmp_path / "m.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match="state dict"):
        read_tensors(tmp_path / "m.pth")


class Opens:
    """What a hostile pickle would hold."""

    def __reduce__(self):
        return (open, ("/dev/null",))


@pytest.mark.parametrize("content", [Opens(), {"model": Opens()}])
def test_never_runs_code_from_a_pickle(tmp_path, content):
    torch.save(content, tmp_path / "m.pth")
    with pytest.raises(CheckpointError, match="state dict"):
        read_tensors(tmp_path / "m.pth")


def test_lists_entries_that_are_not_tensors(tmp_path):
    torch.save({"a": torch.zeros(1), "step": 3, "lr": 0.5}, tmp_path / "m.pth")
    with pytest.raises(CheckpointError, match=r"'step' \(int\), 'lr' \(float\)"):
        read_tensors(tmp_path / "m.pth")


def test_reads_what_data_parallel_training_writes_by_its_plain_names(tmp_path):
    file = tmp_path / "trained.pt"
    names = ("module.visual.weight", "module.scale")
    torch.save({"epoch": 3, "state_dict": {name: torch.ones(1) for name in names}}, file)
    assert read_tensors(file).keys() == {"visual.weight", "scale"}
    torch.save({"module.scale": torch.ones(1), "weight": torch.ones(1)}, file)
    assert read_tensors(file).keys() == {"module.scale", "weight"}


def test_refuses_what_is_not_a_mapping(tmp_path):
    torch.save([torch.zeros(1)], tmp_path / "m.pth")
    with pytest.raises(CheckpointError, match="Expected a mapping"):
        read_tensors(tmp_path / "m.pth")


def test_finds_a_file_a_folder_and_a_cached_hub_id(tmp_path, monkeypatch):
    snapshot = tmp_path / "models--laion--CLIP-x" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    file = snapshot / "open_clip_pytorch_model.bin"
    file.touch()
    (tmp_path / "models--laion--CLIP-x" / "refs").mkdir()
    (tmp_path / "models--laion--CLIP-x" / "refs" / "main").write_text("abc\n")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    for place in (str(file), str(snapshot), "laion/CLIP-x", "hf-hub:laion/CLIP-x"):
        assert find_clip_file(place) == file


def test_says_how_to_fetch_a_hub_id_that_is_not_cached(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError, match="hf download laion/CLIP-y"):
        find_clip_file("laion/CLIP-y")
    with pytest.raises(CheckpointError, match="neither a file"):
        find_clip_file("../../etc/passwd/x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="holds none of"):
        find_clip_file(str(tmp_path / "empty"))
