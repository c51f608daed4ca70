"""What a manifest must say, as the runtime reads it."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Tuple

from lexiseg_models.configuration import ConfigError
from lexiseg_models.export.contract import (
    FORMAT_VERSION,
    Composition,
    WeightsInfo,
    build_manifest,
)

_FIELDS: Dict[str, type] = {
    "formatVersion": int,
    "method": str,
    "architecture": dict,
    "methods": list,
    "stages": list,
    "tasks": list,
    "proposals": list,
    "keepFloat32": list,
    "embeddingDim": int,
    "contextLength": int,
    "tokenizer": dict,
    "image": dict,
    "promptTemplates": list,
    "trainingClasses": list,
    "weights": dict,
    "torchVersion": str,
    "createdBy": str,
}
# What the runtime takes, which reads the same numbers by the same bounds.
_BOUNDS: Dict[str, Tuple[float, float]] = {
    "embeddingDim": (1, 65_536),
    "contextLength": (3, 4_096),
    "tokenizer.vocabSize": (514, 10_000_000),
    "image.sizeRule.shortestEdge": (1, 65_535),
    "image.sizeRule.longestEdge": (1, 65_535),
    "image.mean": (0, 1e6),
    "image.std": (0, 1e6),
    "image.divisor": (1, 4_096),
    "thresholds.objectMask": (0, 1),
    "thresholds.overlap": (0, 1),
    "thresholds.instanceTopK": (1, 100_000),
    "ensemble.alpha": (0, 1),
    "ensemble.beta": (0, 1),
}
_OPTIONAL_FIELDS: Dict[str, type] = {"thresholds": dict, "ensemble": dict, "training": dict}


def _out_of_bounds(manifest: Mapping[str, Any]) -> List[str]:
    faults: List[str] = []
    for path, (least, most) in _BOUNDS.items():
        value: Any = manifest
        for key in path.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        numbers = value if isinstance(value, list) else [value]
        given = [number for number in numbers if number is not None]
        if not all(isinstance(n, (int, float)) and least <= n <= most for n in given):
            faults.append(f"Expected {least:g} to {most:g} for {path} but received {value!r}")
    return faults


def manifest_faults(manifest: Any) -> List[str]:
    """What is wrong with a manifest; empty when nothing is."""
    if not isinstance(manifest, dict):
        return [f"Expected an object for the manifest but received {type(manifest).__name__}"]
    faults = []
    present = {name: kind for name, kind in _OPTIONAL_FIELDS.items() if name in manifest}
    for name, kind in {**_FIELDS, **present}.items():
        value = manifest.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            faults.append(f"Expected {kind.__name__} for {name} but received {value!r}")
    known = {**_FIELDS, **_OPTIONAL_FIELDS}
    faults += [f"Unknown field {name}" for name in manifest if name not in known]
    if "classify_masks" in (manifest.get("methods") or []):
        if "thresholds" not in manifest:
            faults.append("Expected thresholds beside masks")
    if faults:
        return faults
    faults += _out_of_bounds(manifest)
    tokenizer = manifest["tokenizer"]
    if not tokenizer.get("endId", 0) < tokenizer.get("vocabSize", 0):
        faults.append(f"Expected tokenizer.vocabSize above {tokenizer.get('endId')}")
    if manifest["formatVersion"] != FORMAT_VERSION:
        faults.append(f"Expected formatVersion {FORMAT_VERSION}")
    for template in manifest["promptTemplates"]:
        if not isinstance(template, str) or template.count("{}") != 1:
            faults.append(f"Expected one {{}} in each of promptTemplates but received {template!r}")
    for i, entry in enumerate(manifest["trainingClasses"]):
        sound = (
            isinstance(entry, dict)
            and isinstance(entry.get("name"), str)
            and isinstance(entry.get("thing"), bool)
            and isinstance(entry.get("synonyms"), list)
            and len(entry["synonyms"]) > 0
            and all(isinstance(name, str) and name for name in entry["synonyms"])
        )
        if not sound:
            faults.append(f"Expected name, synonyms and thing for trainingClasses[{i}]")
    if manifest["weights"].get("kind") not in ("converted", "random", "trained"):
        faults.append("Expected converted, random or trained for weights.kind")
    return faults


def check_manifest(composition: Composition) -> None:
    """Refuses a config that cannot give a sound manifest, before any work is done.

    Raises:
        ConfigError: lists what is wrong.
    """
    unknown = WeightsInfo("random", "", "", "float32")
    faults = manifest_faults(build_manifest(composition, unknown, ""))
    if faults:
        raise ConfigError("The config gives no sound manifest:\n  " + "\n  ".join(faults))
