"""Checkpoint in published form → the project's exporter → bundle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oracle.config import PIXEL_MEAN, PIXEL_STD, ConvNeXtConfig, OracleConfig
from oracle.make_checkpoint import build_model, write_checkpoint
from oracle.model import OracleModel

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Subject:
    """The oracle and the bundle made from the same checkpoint."""

    name: str
    model: OracleModel
    bundle: Path


def exporter_config(config: OracleConfig) -> dict[str, Any]:
    """The exporter's JSON for the same sizes."""
    image, text, decoder = config.image, config.text, config.decoder
    tower: dict[str, Any] = (
        {
            "kind": "convnext",
            "depths": image.depths,
            "widths": image.widths,
            "norm_eps": image.norm_eps,
            "head": "mlp" if image.mlp_head else "linear",
        }
        if isinstance(image, ConvNeXtConfig)
        else {
            "kind": "clip-resnet",
            "blocks": image.depths,
            "width": image.width,
            "heads": image.heads,
            "position_grid": image.image_size // 32,
        }
    )
    return {
        "extends": "common",
        "image": {
            "shortest_edge": config.shortest_edge,
            "longest_edge": config.longest_edge,
            "mean": PIXEL_MEAN,
            "std": PIXEL_STD,
            "divisor": config.divisor,
        },
        "clip": {
            "model": "random values in the published layout",
            "pretrained": "none",
            "licence": "Apache-2.0",
            "embedding_dim": config.embed_dim,
            "image_tower": tower,
            "text_encoder": {
                "width": text.width,
                "token_width": text.width,
                "heads": text.heads,
                "layers": text.layers,
                "context_length": text.context_length,
                "vocabulary_size": text.vocab_size,
                "activation": "quick_gelu" if text.quick_gelu else "gelu",
            },
        },
        "pixel_decoder": {
            "width": decoder.hidden_dim,
            "heads": decoder.heads,
            "points": decoder.points,
            "layers": decoder.encoder_layers,
            "feed_forward": decoder.encoder_feedforward_dim,
            "groups": decoder.groups,
        },
        "transformer_decoder": {
            "queries": decoder.queries,
            "width": decoder.hidden_dim,
            "heads": decoder.heads,
            "layers": decoder.decoder_layers,
            "feed_forward": decoder.decoder_feedforward_dim,
        },
        "ensemble": {
            "alpha": config.alpha,
            "beta": config.beta,
            "on_valid_mask_only": config.ensemble_on_valid_mask,
        },
    }


def run_exporter(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Run `python -m lexiseg_models` with this interpreter."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "models")}
    return subprocess.run(
        [sys.executable, "-m", "lexiseg_models", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def export(config: OracleConfig, trainable: Path, clip: Path, bundle: Path) -> None:
    """Convert and export; an exporter that fails is a RuntimeError with what it printed."""
    description = bundle.with_suffix(".json")
    description.write_text(json.dumps(exporter_config(config)))
    arguments = ["export", "fc-clip", "--config", str(description), "--checkpoint", str(trainable)]
    done = run_exporter([*arguments, "--clip", str(clip), "--out", str(bundle)])
    if done.returncode != 0:
        raise RuntimeError(f"the exporter failed ({done.returncode}):\n{done.stdout}{done.stderr}")


def make_subject(name: str, config: OracleConfig, folder: Path, seed: int = 0) -> Subject:
    """Write a random checkpoint of `config` into `folder` and export it."""
    model = build_model(config, seed)
    trainable, clip = write_checkpoint(model, folder)
    bundle = folder / f"{name}.pt"
    export(config, trainable, clip, bundle)
    return Subject(name, model, bundle)
