"""Says in words what a bundle holds, without loading its weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, List, Mapping

from lexiseg_models.export.archive import (
    MANIFEST,
    BundleError,
    read_extra_file,
    weights_sha256,
)
from lexiseg_models.export.manifest_faults import manifest_faults


def read_manifest(path: Path) -> Mapping[str, Any]:
    """The manifest of a bundle.

    Raises:
        BundleError: there is none, or it does not say what it must.
    """
    try:
        manifest = json.loads(read_extra_file(path, MANIFEST))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise BundleError(f"The manifest in {path} is not JSON: {error}") from error
    faults = manifest_faults(manifest)
    if faults:
        raise BundleError(f"The manifest in {path} is not right:\n  " + "\n  ".join(faults))
    return dict(manifest)


def describe(path: Path) -> str:
    """A few lines on a bundle, with a check of its weight hash."""
    manifest = read_manifest(path)
    weights = manifest["weights"]
    image = manifest["image"]
    classes = manifest["trainingClasses"]
    sound = weights_sha256(path) == weights.get("sha256")
    label = weights["kind"].upper() if weights["kind"] == "random" else weights["kind"]
    rule = image.get("sizeRule", {})
    divisor = image.get("divisor")
    padding = "not padded" if divisor == 1 else f"padded to multiples of {divisor}"
    synonyms = sum(len(entry["synonyms"]) for entry in classes)
    lines: List[str] = [
        f"{path} ({path.stat().st_size / 1e6:.1f} MB)",
        f"method             {manifest['method']} (format {manifest['formatVersion']})",
        f"weights            {label}: {weights.get('source')}, {weights.get('dtype')}",
        f"licence            {weights.get('licence')}",
        f"sha256             {weights.get('sha256')} {'(checked)' if sound else '(WRONG)'}",
        f"methods            {', '.join(manifest['methods'])}",
        f"tasks              {', '.join(manifest['tasks'])}",
        f"embedding          {manifest['embeddingDim']} wide, {manifest['contextLength']} tokens",
        f"image              shortest edge {rule.get('shortestEdge')}, "
        f"longest {rule.get('longestEdge')}, {padding}",
        f"prompt templates   {len(manifest['promptTemplates'])}",
        f"training classes   {len(classes)} with {synonyms} synonyms",
        f"kept in float32    {', '.join(manifest['keepFloat32'])}",
        f"written by         {manifest['createdBy']}, torch {manifest['torchVersion']}",
    ]
    return "\n".join(lines)
