"""Make what the benches need, once: a random checkpoint, a bundle per input size, a picture.

    PYTHONPATH=test python -m bench.prepare NETWORK SIZE… [--vocabulary FILE]

Everything goes to .cache/bench/NETWORK; the last line printed is a JSON description.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image

from oracle.config import CONFIGS, OracleConfig
from oracle.drawing import draw_picture
from oracle.make_checkpoint import CLIP_PREFIX, build_model, write_checkpoint
from oracle.model import OracleModel
from oracle.vocabulary import Vocabulary
from parity.exporting import ROOT, export

CACHE = ROOT / ".cache" / "bench"


def sized(config: OracleConfig, size: int) -> OracleConfig:
    """The same network with a rule that leaves a size × size picture as it is."""
    return replace(config, shortest_edge=size, longest_edge=size)


def read_vocabulary(path: Path) -> Vocabulary:
    """A JSON list of {name, synonyms, thing}, as the Node side writes it."""
    classes = json.loads(path.read_text())
    return Vocabulary([[c["name"], *c["synonyms"]] for c in classes], [c["thing"] for c in classes])


def load_oracle(name: str, folder: Path, size: int) -> OracleModel:
    """The oracle with the tensors of the stored checkpoint."""
    with torch.device("meta"):
        model = OracleModel(sized(CONFIGS[name], size))
    state = torch.load(folder / "trainable_flat.pth", weights_only=True)
    clip = torch.load(folder / "clip.bin", weights_only=True)
    state |= {CLIP_PREFIX + key: tensor for key, tensor in clip.items()}
    model.load_state_dict(state, strict=True, assign=True)
    return model.requires_grad_(False).eval()


@torch.inference_mode()
def text_rows(model: OracleModel, vocabulary: Vocabulary) -> torch.Tensor:
    """Unit rows per synonym [S, D]; causal attention lets the padding be left out."""
    prompts = vocabulary.prompts()
    longest = int(prompts.argmax(-1).max()) + 1
    return model.class_matrix(prompts[..., :longest], vocabulary.synonym_counts).rows[:-1]


def exporter_changed() -> float:
    """When a source of the exporter was last written: an older bundle would time old code."""
    sources = (ROOT / "models" / "lexiseg_models").rglob("*.py")
    return max(source.stat().st_mtime for source in sources)


def prepare(name: str, sizes: list[int], vocabulary: Path | None) -> dict[str, object]:
    """Write what is missing; returns where everything is."""
    folder = CACHE / name
    trainable, clip = folder / "trainable.pth", folder / "clip.bin"
    if not clip.is_file():
        write_checkpoint(build_model(CONFIGS[name]), folder)
    bundles = {}
    for size in sizes:
        bundle = folder / f"{size}.pt"
        if not bundle.is_file() or bundle.stat().st_mtime < exporter_changed():
            export(sized(CONFIGS[name], size), trainable, clip, bundle)
        picture = CACHE / f"picture-{size}.png"
        Image.fromarray(draw_picture(size, size, seed=size, shapes=40)).save(picture)
        bundles[str(size)] = {"bundle": str(bundle), "picture": str(picture)}
    rows = folder / "text-rows.pt"
    if vocabulary is not None and (
        not rows.is_file() or rows.stat().st_mtime < vocabulary.stat().st_mtime
    ):
        torch.set_num_threads(2)
        model = load_oracle(name, folder, sizes[0])
        torch.save(text_rows(model, read_vocabulary(vocabulary)), rows)
    return {"folder": str(folder), "sizes": bundles, "rows": str(rows)}


def main() -> None:
    """Parse the command line and prepare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", choices=sorted(CONFIGS))
    parser.add_argument("sizes", type=int, nargs="+")
    parser.add_argument("--vocabulary", type=Path)
    options = parser.parse_args()
    print(json.dumps(prepare(options.network, options.sizes, options.vocabulary)))


if __name__ == "__main__":
    main()
