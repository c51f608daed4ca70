"""What the exporter refuses before it builds anything."""

import json
import zipfile

import pytest
from conftest import REPOSITORY
from lexiseg_models.export.command import main

BUNDLE = REPOSITORY / "models" / "bundles" / "tiny-fc-clip.pt"
RANDOM = ["--random-init", "--seed", "7"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"transformer_decoder": {"heads": 7}}, "multiple of 7"),
        ({"pixel_decoder": {"groups": 7}}, "No network fits the config"),
        ({"clip": {"text_encoder": {"heads": 7}}}, "No network fits the config"),
        ({"clip": {"text_encoder": {"vocabulary_size": 1000}}}, "tokenizer.vocabSize above 49407"),
    ],
)
def test_a_config_that_no_network_fits_is_wrong_use(tmp_path, capsys, change, message):
    own = tmp_path / "own.json"
    own.write_text(json.dumps({"extends": "tiny", **change}))
    arguments = ["export", "fc-clip", "--config", str(own), *RANDOM]
    assert main([*arguments, "--out", str(tmp_path / "x.pt")]) == 2
    assert message in capsys.readouterr().err


def test_a_tower_is_not_for_a_checkpoint(tmp_path, capsys):
    given = ["--checkpoint", str(tmp_path / "c.pth"), "--tower", str(tmp_path / "t.pt")]
    arguments = ["export", "ovseg", "--config", "tiny", *given]
    assert main([*arguments, "--out", str(tmp_path / "x.pt")]) == 2
    assert "--tower with --random-init" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["--start", "--clip", "--text"])
def test_a_damaged_bundle_gives_no_weights(tmp_path, capsys, place):
    damaged = tmp_path / "damaged.pt"
    content = bytearray(BUNDLE.read_bytes())
    with zipfile.ZipFile(BUNDLE) as archive:
        largest = max(archive.infolist(), key=lambda info: info.file_size)
    content[largest.header_offset + largest.file_size // 2] ^= 1
    damaged.write_bytes(content)
    method = "clip" if place == "--text" else "fc-clip"
    arguments = ["export", method, "--config", "tiny", *RANDOM, place, str(damaged)]
    assert main([*arguments, "--out", str(tmp_path / "x.pt")]) == 1
    assert "not those that its manifest promises" in capsys.readouterr().err
