"""The manifest inside a bundle: what it says, and a check that it says it."""

from __future__ import annotations

import gzip
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

import torch

from lexiseg_models import __version__
from lexiseg_models.configuration import VOCABULARIES, ConfigError, parse, read_json

FORMAT_VERSION = 1
MERGES = "tokenizer/merges.txt"
START_ID = 49406
END_ID = 49407
_MERGES_FILE = Path(__file__).parent / "clip_bpe_merges.txt.gz"


@dataclass(frozen=True)
class WeightsInfo:
    """Where the weights of a bundle come from.

    Attributes:
        kind: "converted", "random" or "trained".
        source: what they were made from, for people.
        licence: their terms.
        dtype: "float32" or "bfloat16", as stored.
        seed: of a random initialisation.
    """

    kind: str
    source: str
    licence: str
    dtype: str
    seed: Optional[int] = None


@dataclass(frozen=True)
class Interface:
    """What a bundle offers: names in the order the manifest lists them.

    Attributes:
        methods: exported methods.
        stages: methods that are chained, for profiling.
        tasks: what can be asked for.
        proposals: fields of the proposals tuple.
        keep_float32: submodules whose weights stay float32.
        training: kind of batch and parameter groups of a bundle that can be trained.
    """

    methods: Sequence[str]
    stages: Sequence[str]
    tasks: Sequence[str]
    proposals: Sequence[str]
    keep_float32: Sequence[str]
    training: Optional[Mapping[str, Any]] = None


@dataclass(frozen=True)
class Composition:
    """What a network was composed as.

    Attributes:
        method: its name, for people.
        config: the config file that it was built from.
        interface: what it offers.
    """

    method: str
    config: Mapping[str, Any]
    interface: Interface


@dataclass(frozen=True)
class Thresholds:
    """Defaults of the runtime's post-processing.

    Attributes:
        object_mask: least score of a query in a panoptic map, 0..1.
        overlap: least visible part of a mask in a panoptic map, 0..1.
        instance_top_k: most instances of an image, before stuff is dropped.
    """

    object_mask: float
    overlap: float
    instance_top_k: int


def _camel(key: str) -> str:
    head, *rest = key.split("_")
    return head + "".join(part.capitalize() for part in rest)


def camel_case(value: Any) -> Any:
    """The same data with snake_case keys turned into camelCase."""
    if isinstance(value, Mapping):
        return {_camel(key): camel_case(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [camel_case(item) for item in value]
    return value


def tokenizer_merges() -> bytes:
    """CLIP's BPE merges, one "left right" per line, UTF-8 (source: OpenAI CLIP, MIT)."""
    return gzip.decompress(_MERGES_FILE.read_bytes())


def _named_list(name: Any, key: str) -> List[Any]:
    """The list `key` of the file vocabularies/NAME.json."""
    path = VOCABULARIES / f"{name}.json"
    if not isinstance(name, str) or not path.is_file():
        raise ConfigError(f"Expected the name of a file in {VOCABULARIES} but received {name!r}")
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get(key), list):
        raise ConfigError(f'Expected a list "{key}" in {path}')
    return list(content[key])


def training_classes(vocabulary: Union[str, List[Dict[str, Any]], None]) -> List[Dict[str, Any]]:
    """Name, synonyms and thing of classes: those given, or a shipped vocabulary's, or none."""
    if isinstance(vocabulary, list):
        return vocabulary
    if vocabulary is None:
        return []
    # In a file a class without synonyms has its name alone.
    return [{"synonyms": [c["name"]], **c} for c in _named_list(vocabulary, "classes")]


def prompt_templates(name: str) -> List[str]:
    """A shipped set of prompt templates, each with one {} hole."""
    return _named_list(f"templates_{name}", "templates")


def build_manifest(composition: Composition, weights: WeightsInfo, sha256: str) -> Dict[str, Any]:
    """The manifest of a bundle, ready to be written as JSON.

    Args:
        composition: of its network.
        weights: where the weights come from.
        sha256: hash of the weight records.
    """
    config, interface = composition.config, composition.interface
    image = config["image"]
    text = config["clip"]["text_encoder"]
    described = {
        "kind": weights.kind,
        "source": weights.source,
        "licence": weights.licence,
        "sha256": sha256,
        "dtype": weights.dtype,
    }
    if weights.seed is not None:
        described["seed"] = weights.seed
    parts = ["clip", "backbone", "pixel_decoder", "transformer_decoder", "class_head"]
    parts += ["pooling", "regions", "dense"]
    if interface.training is not None:
        parts.append("objective")
    optional: Dict[str, Any] = {}
    if "thresholds" in config:
        thresholds = parse(Thresholds, config["thresholds"], "thresholds")
        optional["thresholds"] = camel_case(asdict(thresholds))
    if "ensemble" in config:
        optional["ensemble"] = camel_case(config["ensemble"])
    if interface.training is not None:
        optional["training"] = dict(interface.training)
    return {
        "formatVersion": FORMAT_VERSION,
        "method": composition.method,
        "architecture": {_camel(key): camel_case(config[key]) for key in parts if key in config},
        "methods": list(interface.methods),
        "stages": list(interface.stages),
        "tasks": list(interface.tasks),
        "proposals": list(interface.proposals),
        "keepFloat32": list(interface.keep_float32),
        "embeddingDim": config["clip"]["embedding_dim"],
        "contextLength": text["context_length"],
        "tokenizer": {
            "kind": "clip-bpe",
            "merges": MERGES,
            "startId": START_ID,
            "endId": END_ID,
            "vocabSize": text["vocabulary_size"],
            "lowerCase": True,
        },
        "image": {
            "sizeRule": {
                "shortestEdge": image["shortest_edge"],
                "longestEdge": image["longest_edge"],
            },
            "mean": list(image["mean"]),
            "std": list(image["std"]),
            "divisor": image["divisor"],
        },
        "promptTemplates": prompt_templates(config["prompt_templates"]),
        "trainingClasses": training_classes(config["training_vocabulary"]),
        "weights": described,
        "torchVersion": torch.__version__.split("+")[0],
        "createdBy": f"lexiseg_models {__version__}",
        **optional,
    }


def encode_manifest(manifest: Mapping[str, Any]) -> bytes:
    """JSON text of a manifest, UTF-8."""
    return json.dumps(manifest, ensure_ascii=False, indent=1).encode("utf-8")
