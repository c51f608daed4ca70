"""The command line: `export` writes a bundle, `pack` shrinks it, `inspect` says what it holds."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Set, Tuple, Union

import torch
from torch import nn

from lexiseg_models.configuration import ConfigError, config_names, read_config
from lexiseg_models.convert.bundle import is_bundle, load_start
from lexiseg_models.convert.clip import load_text
from lexiseg_models.convert.tensors import CheckpointError
from lexiseg_models.export.archive import BundleError
from lexiseg_models.export.bundle import DTYPES, pack_bundle, write_bundle
from lexiseg_models.export.contract import Composition, Interface, WeightsInfo, check_manifest
from lexiseg_models.export.inspection import describe, read_manifest
from lexiseg_models.export.verify import VerificationError
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


def _parser() -> argparse.ArgumentParser:
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
        help="begin with the weights of a bundle, of any method, where names and shapes agree",
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


def _progress() -> Callable[[str], None]:
    start = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - start:6.1f} s] {line}", file=sys.stderr, flush=True)

    return say


def _composed(args: argparse.Namespace, raw: Mapping[str, Any]) -> nn.Module:
    method = METHODS[args.method]
    if args.trainable:
        trainable: nn.Module = method.training.build_trainable(raw)
        return trainable
    module: nn.Module = method.composer.build(method.composer.parse_config(raw))
    return module


def _random(
    args: argparse.Namespace, raw: Mapping[str, Any], progress: Callable[[str], None]
) -> Tuple[nn.Module, WeightsInfo]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(args.seed)
        module = _composed(args, raw)
    method = METHODS[args.method]
    filled: Set[str] = set()
    given: List[str] = []
    licence = "Apache-2.0"
    if args.start is not None:
        begun = load_start(module, args.start)
        filled |= begun.taken
        progress(f"begins with {args.start}: {begun}")
        given.insert(0, f"begun with {args.start.name}")
        licence = f"{args.start.name}: {read_manifest(args.start)['weights']['licence']}"
    if args.clip is not None:
        filled |= method.load_clip(module, args.clip)
        given.insert(0, f"CLIP of {Path(args.clip).name}")
        clip_licence = f"CLIP: {raw['clip']['licence']}"
        licence = clip_licence if args.start is None else f"{clip_licence}; the rest: {licence}"
    if args.text is not None:
        filled |= load_text(module, args.text)
        given.insert(0, f"text tower of {Path(args.text).name}")
        licence = f"text tower: as {Path(args.text).name} was published; the rest: {licence}"
    if args.tower is not None:
        if method.load_tower is None:
            raise ConfigError(f"{args.method} has no image tower but CLIP's: leave out --tower")
        filled |= method.load_tower(module, args.tower)
        given.insert(0, f"image tower of {args.tower.name}")
        licence = f"{licence}; image tower: as {args.tower.name} was published"
    if method.check_begun is not None and args.start is not None:
        method.check_begun(module, frozenset(filled))
    whole = {name for name, _ in module.named_parameters()} <= filled
    if whole and not any(_is_random(place) for place in (args.start, args.clip) if place):
        return module, WeightsInfo("trained", "; the rest: ".join(given), licence, args.dtype)
    if not whole or not given:
        given.append(f"random initialisation, seed {args.seed}")
    return module, WeightsInfo("random", "; the rest: ".join(given), licence, args.dtype, args.seed)


def _is_random(place: Union[Path, str]) -> bool:
    """Whether it is a bundle whose own weights are random."""
    path = Path(place)
    return is_bundle(path) and bool(read_manifest(path)["weights"]["kind"] == "random")


def _converted(args: argparse.Namespace, raw: Mapping[str, Any]) -> Tuple[nn.Module, WeightsInfo]:
    method = METHODS[args.method]
    if method.load_weights is None:
        raise ConfigError(f"{args.method} has no checkpoint of its own: use --clip")
    # Meta tensors cost nothing; the checkpoint's own take their place.
    with torch.device("meta"):
        module = _composed(args, raw)
    method.load_weights(module, args.checkpoint, args.clip)
    clip = raw["clip"]
    source = f"{args.checkpoint.name} with CLIP {clip['model']} ({clip['pretrained']})"
    licence = f"{method.licence}; CLIP: {clip['licence']}"
    return module, WeightsInfo("converted", source, licence, args.dtype)


def _methods(composer: ModuleType, config: Any) -> Tuple[str, ...]:
    chosen = getattr(composer, "methods", None)
    found: Tuple[str, ...] = composer.METHODS if chosen is None else chosen(config)
    return found


def _training(args: argparse.Namespace, raw: Mapping[str, Any]) -> Optional[Mapping[str, Any]]:
    if not args.trainable:
        return None
    training = METHODS[args.method].training
    with torch.device("meta"):
        module = training.build_trainable(raw)
    return {"batch": training.batch_kind(raw), "groups": training.groups(module)}


def _begun(raw: Dict[str, Any], start: Optional[Path]) -> Dict[str, Any]:
    """The config, with the classes that `start` was trained on where it names no others."""
    if start is None or raw["training_vocabulary"] is not None or not is_bundle(start):
        return raw
    return {**raw, "training_vocabulary": read_manifest(start)["trainingClasses"]}


def _check_out(out: Path) -> None:
    if out.suffix != ".pt":
        raise ConfigError(f"Expected a name ending in .pt for --out but received {out}")


def _pack(args: argparse.Namespace) -> None:
    _check_out(args.out)
    pack_bundle(args.file, args.out)
    before, after = (path.stat().st_size / 1e6 for path in (args.file, args.out))
    print(f"wrote {args.out} ({after:.1f} MB; {args.file} has {before:.1f} MB)", file=sys.stderr)


def _export(args: argparse.Namespace) -> None:
    if args.random_init == (args.checkpoint is not None):
        raise ConfigError("Expected either --checkpoint or --random-init")
    if args.start is not None and not args.random_init:
        raise ConfigError("Expected --start with --random-init")
    if args.text is not None and (args.clip is not None or not args.random_init):
        raise ConfigError("Expected --text with --random-init, and without --clip")
    _check_out(args.out)
    if not 0 <= args.seed < 2**53:
        raise ConfigError(f"Expected 0 to 2^53 - 1 for --seed but received {args.seed}")
    progress = _progress()
    composer = METHODS[args.method].composer
    raw = _begun(read_config(args.method, args.config), args.start)
    config = composer.parse_config(raw)
    interface = Interface(
        methods=_methods(composer, config),
        stages=composer.STAGES,
        tasks=composer.TASKS,
        proposals=composer.PROPOSALS,
        keep_float32=composer.keep_float32(config),
        training=_training(args, raw),
    )
    composition = Composition(args.method, raw, interface)
    check_manifest(composition)
    progress(f"building {args.method} {args.config}")
    module, weights = _random(args, raw, progress) if args.random_init else _converted(args, raw)
    worst = write_bundle(
        module,
        args.out,
        composition=composition,
        weights=weights,
        progress=progress,
    )
    size = args.out.stat().st_size / 1e6
    progress(f"verified: largest relative difference {worst:.2g}")
    progress(f"wrote {args.out} ({size:.1f} MB, {weights.kind} weights)")


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Runs the command line; returns the exit code: 0 done, 1 failed, 2 wrong usage."""
    parser = _parser()
    args = parser.parse_args(arguments)
    try:
        if args.command == "inspect":
            print(describe(args.file))
        elif args.command == "pack":
            _pack(args)
        else:
            _export(args)
    except ConfigError as error:
        known = _known_configs() if args.command == "export" else ""
        print(f"error: {error}{known}", file=sys.stderr)
        return 2
    except (CheckpointError, BundleError, VerificationError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _known_configs() -> str:
    lines: List[str] = []
    for method in sorted(METHODS):
        lines.append(f"\n  configs of {method}: {', '.join(config_names(method))}")
    return "".join(lines)
