"""Writes a bundle: cast, script, hash, add the manifest, verify, and only then put it in place."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Callable, Iterator, Sequence, Tuple

import torch
from torch import Tensor, nn

from lexiseg_models.export.archive import (
    MANIFEST,
    BundleError,
    add_extra_files,
    atomic_output,
    pack,
    save_records,
    weights_sha256,
)
from lexiseg_models.export.contract import (
    MERGES,
    Composition,
    WeightsInfo,
    build_manifest,
    encode_manifest,
    tokenizer_merges,
)
from lexiseg_models.export.inspection import read_manifest
from lexiseg_models.export.manifest_faults import manifest_faults
from lexiseg_models.export.verify import VerificationError, verify_bundle

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
Progress = Callable[[str], None]


def cast_weights(module: nn.Module, dtype: torch.dtype, keep_float32: Sequence[str]) -> None:
    """Casts floating weights in place, except those of modules named in `keep_float32`."""
    for name, child in module.named_modules():
        kept = any(name == prefix or name.startswith(prefix + ".") for prefix in keep_float32)
        target = torch.float32 if kept else dtype
        for parameter in child.parameters(recurse=False):
            if parameter.is_floating_point():
                parameter.data = parameter.data.to(target)
        for buffer in child.buffers(recurse=False):
            if buffer.is_floating_point():
                buffer.data = buffer.data.to(target)


def script(module: nn.Module) -> torch.jit.ScriptModule:
    """The scripted module, in eval mode and without gradients."""
    module.eval().requires_grad_(False)
    with warnings.catch_warnings():
        # TorchScript is deprecated upstream; the file contract is about tensors, not about it.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        return torch.jit.script(module)


def _tensors(module: nn.Module) -> Iterator[Tuple[str, Tensor]]:
    """Parameters and all buffers, by name."""
    yield from module.named_parameters()
    yield from module.named_buffers()


def write_bundle(
    module: nn.Module,
    out: Path,
    *,
    composition: Composition,
    weights: WeightsInfo,
    progress: Progress,
) -> float:
    """Exports `module` to `out`.

    Nothing appears at `out` unless the written file, loaded again, agrees with the module.

    Returns:
        The largest relative difference between eager and exported results.

    Raises:
        VerificationError: the exported graph or the manifest is not right.
    """
    unfilled = [name for name, tensor in _tensors(module) if tensor.is_meta]
    if unfilled:
        raise VerificationError(f"Nothing has filled {', '.join(unfilled)}")
    interface, dim = composition.interface, composition.config["clip"]["embedding_dim"]
    cast_weights(module, DTYPES[weights.dtype], interface.keep_float32)
    progress("scripting")
    scripted = script(module)
    with atomic_output(out) as path:
        # A name that no output can have beside itself.
        plain = path.with_name(f"{path.name}.records")
        save_records(scripted, plain)
        sha256 = weights_sha256(plain)
        manifest = build_manifest(composition, weights, sha256)
        faults = manifest_faults(manifest)
        if faults:
            raise VerificationError("The manifest is not right:\n  " + "\n  ".join(faults))
        extra = {MANIFEST: encode_manifest(manifest), MERGES: tokenizer_merges()}
        progress("writing")
        add_extra_files(plain, path, extra)
        plain.unlink()
        if weights_sha256(path) != sha256:
            raise VerificationError("The weight records changed while the manifest was added")
        progress("verifying: eager against exported, two sizes, two vocabularies")
        worst = verify_bundle(module, path, interface, dim)
    return worst


def check_weights(bundle: Path) -> None:
    """Refuses a bundle that was damaged: PyTorch reads whatever numbers are there.

    Raises:
        BundleError: its weights are not those of its manifest.
    """
    if weights_sha256(bundle) != read_manifest(bundle)["weights"].get("sha256"):
        raise BundleError(f"The weights in {bundle} are not those that its manifest promises")


def pack_bundle(source: Path, out: Path) -> None:
    """Writes a copy of a bundle that is smaller: its tensors deflated, and otherwise the same.

    Raises:
        BundleError: `source` is no sound bundle.
    """
    check_weights(source)
    manifest = read_manifest(source)
    weights = manifest["weights"]
    pack(
        source,
        out,
        lambda sha256: encode_manifest({**manifest, "weights": {**weights, "sha256": sha256}}),
    )
