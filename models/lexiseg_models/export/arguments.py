"""What the command line takes, with its help."""

from __future__ import annotations

import argparse
from pathlib import Path

from lexiseg_models.export.bundle import DTYPES
from lexiseg_models.methods import METHODS

_EXAMPLES = """examples:
  weights at random, to try things without a download:
    python -m lexiseg_models export fc-clip --config tiny --random-init --seed 7 \\
        --dtype bfloat16 --out tiny-fc-clip.pt

  a published checkpoint; it holds only the trained tensors, CLIP comes as a second file:
    python -m lexiseg_models export fc-clip --config convnext_large_d_320 \\
        --checkpoint fcclip_cocopan.pth --clip open_clip_model.safetensors --out fc-clip-large.pt

  CLIP from the local Hugging Face cache, by its hub id:
    python -m lexiseg_models export fc-clip --config rn50 --checkpoint fcclip_rn50.pth \\
        --clip timm/resnet50_clip.openai --out fc-clip-rn50.pt

  a network to train: CLIP's own weights, decoders at random, the loss in the graph:
    python -m lexiseg_models export fc-clip --config convnext_large_d_320 --random-init \\
        --clip open_clip_model.safetensors --trainable --out to-train.pt

  a network to tune: the shipped demo, which was trained already, with its loss in the graph:
    python -m lexiseg_models export fc-clip --config demo --random-init \\
        --start models/bundles/demo-fc-clip.pt --trainable --out to-tune.pt

  a smaller file of the same bundle, to pass on:
    python -m lexiseg_models pack fc-clip-large.pt --out fc-clip-large-packed.pt

  what a bundle holds:
    python -m lexiseg_models inspect fc-clip-large.pt
"""


def build_parser() -> argparse.ArgumentParser:
    """Of `export`, `pack` and `inspect`."""
    parser = argparse.ArgumentParser(
        prog="python -m lexiseg_models",
        description="Exports segmentation networks as bundles that Node runs.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    export = commands.add_parser(
        "export",
        help="write a bundle",
        description="Writes a bundle; it appears only after the written file was verified.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    export.add_argument("method", choices=sorted(METHODS), help="what to export")
    export.add_argument(
        "--config", required=True, metavar="NAME|FILE", help="shipped config or JSON file"
    )
    export.add_argument("--checkpoint", type=Path, metavar="FILE", help="the method's own weights")
    export.add_argument(
        "--clip",
        metavar="FILE|DIR|ID",
        help="CLIP weights: .safetensors, .bin or .pt, a folder of one, or a cached hub id",
    )
    export.add_argument(
        "--text",
        metavar="FILE|DIR|ID",
        help="CLIP weights whose text tower alone is taken: an image tower learns to meet it",
    )
    export.add_argument(
        "--tower",
        type=Path,
        metavar="FILE",
        help="weights of another image tower than CLIP's: DINO's or DINOv2's as published, Swin's "
        "for proposals, or for a network that has CLIP as its teacher, a bundle or a CLIP of the "
        "same shape",
    )
    export.add_argument(
        "--start",
        type=Path,
        metavar="BUNDLE",
        help="begin with the weights of a bundle, of any method, where names and shapes agree, and "
        "with its classes where the config names none",
    )
    export.add_argument(
        "--random-init",
        action="store_true",
        help="random weights, but those of --start, --clip, --text and --tower",
    )
    export.add_argument(
        "--trainable",
        action="store_true",
        help="with the loss, so that Node can train it; training widens stored weights to float32",
    )
    export.add_argument("--seed", type=int, default=0, help="of --random-init (default: 0)")
    export.add_argument(
        "--dtype", choices=sorted(DTYPES), default="float32", help="stored (default: float32)"
    )
    export.add_argument(
        "--out", required=True, type=Path, metavar="NAME.pt", help="bundle to write"
    )
    packing = commands.add_parser(
        "pack",
        help="write a smaller file of the same bundle",
        description="Deflates the tensors of a bundle: a bfloat16 one loses about a fifth of its "
        "size, and loads a little slower. What it computes stays the same.",
    )
    packing.add_argument("file", type=Path, metavar="FILE")
    packing.add_argument(
        "--out", required=True, type=Path, metavar="NAME.pt", help="bundle to write"
    )
    inspect = commands.add_parser("inspect", help="say what a bundle holds")
    inspect.add_argument("file", type=Path, metavar="FILE")
    return parser
