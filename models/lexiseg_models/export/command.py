"""The command line: `export` writes a bundle, `pack` shrinks it, `inspect` says what it holds."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Set, Tuple

import torch
from torch import nn

from lexiseg_models.configuration import ConfigError, config_names, read_config
from lexiseg_models.convert.bundle import is_bundle, load_start
from lexiseg_models.convert.tensors import CheckpointError
from lexiseg_models.export.archive import BundleError
from lexiseg_models.export.arguments import build_parser
from lexiseg_models.export.bundle import check_weights, pack_bundle, write_bundle
from lexiseg_models.export.contract import Composition, Interface, WeightsInfo
from lexiseg_models.export.inspection import describe, read_manifest
from lexiseg_models.export.manifest_faults import check_manifest
from lexiseg_models.export.verify import VerificationError
from lexiseg_models.methods import METHODS


def _progress() -> Callable[[str], None]:
    start = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - start:6.1f} s] {line}", file=sys.stderr, flush=True)

    return say


def _composed(args: argparse.Namespace, raw: Mapping[str, Any]) -> nn.Module:
    method = METHODS[args.method]
    try:
        if args.trainable:
            trainable: nn.Module = method.training.build_trainable(raw)
            return trainable
        module: nn.Module = method.composer.build(method.composer.parse_config(raw))
        return module
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"No network fits the config: {error}") from error


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
        clip_licence = _clip_licence(args, raw)
        licence = clip_licence if args.start is None else f"{clip_licence}; the rest: {licence}"
    if args.text is not None:
        filled |= method.load_text(module, args.text)
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
    if whole and not any(_is_random(place) for place in _given(args)):
        return module, WeightsInfo("trained", "; the rest: ".join(given), licence, args.dtype)
    if not whole or not given:
        given.append(f"random initialisation, seed {args.seed}")
    return module, WeightsInfo("random", "; the rest: ".join(given), licence, args.dtype, args.seed)


def _given(args: argparse.Namespace) -> List[Path]:
    """The files that weights are taken from, beside a checkpoint."""
    return [Path(p) for p in (args.start, args.clip, args.text, args.tower) if p is not None]


def _is_random(path: Path) -> bool:
    """Whether it is a bundle whose own weights are random."""
    return is_bundle(path) and bool(read_manifest(path)["weights"]["kind"] == "random")


def _clip_licence(args: argparse.Namespace, raw: Mapping[str, Any]) -> str:
    """Of the CLIP that is given, or of the one that the config names."""
    if args.clip is not None and is_bundle(Path(args.clip)):
        return f"CLIP: {read_manifest(Path(args.clip))['weights']['licence']}"
    return f"CLIP: {raw['clip']['licence']}"


def _converted(args: argparse.Namespace, raw: Mapping[str, Any]) -> Tuple[nn.Module, WeightsInfo]:
    method = METHODS[args.method]
    if method.load_weights is None:
        raise ConfigError(f"{args.method} has no checkpoint of its own: use --clip")
    # Meta tensors cost nothing; the checkpoint's own take their place.
    with torch.device("meta"):
        module = _composed(args, raw)
    method.load_weights(module, args.checkpoint, args.clip)
    clip = raw["clip"]
    bundled = args.clip is not None and is_bundle(Path(args.clip))
    own = f"of {Path(args.clip).name}" if bundled else f"{clip['model']} ({clip['pretrained']})"
    source = f"{args.checkpoint.name} with CLIP {own}"
    licence = f"{method.licence}; {_clip_licence(args, raw)}"
    if any(_is_random(place) for place in _given(args)):
        return module, WeightsInfo("random", source, licence, args.dtype, args.seed)
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
        module = _composed(args, raw)
    return {"batch": training.batch_kind(raw), "groups": training.groups(module)}


def _begun(raw: Dict[str, Any], start: Optional[Path]) -> Dict[str, Any]:
    """The config, with the classes that `start` was trained on where it names no others."""
    if start is None or raw.get("training_vocabulary") is not None or not is_bundle(start):
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
    for name in ("start", "tower"):
        if getattr(args, name) is not None and not args.random_init:
            raise ConfigError(f"Expected --{name} with --random-init")
    if args.text is not None and (args.clip is not None or not args.random_init):
        raise ConfigError("Expected --text with --random-init, and without --clip")
    _check_out(args.out)
    if not 0 <= args.seed < 2**53:
        raise ConfigError(f"Expected 0 to 2^53 - 1 for --seed but received {args.seed}")
    progress = _progress()
    for path in _given(args):
        if is_bundle(path):
            check_weights(path)
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
    parser = build_parser()
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
