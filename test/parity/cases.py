"""Pictures and vocabularies that the oracle and the bundle both see."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oracle.drawing import draw_picture
from oracle.vocabulary import Vocabulary

from .exporting import ROOT

Picture = NDArray[np.uint8]
TRAINING_CLASSES = ROOT / "models" / "vocabularies" / "coco_panoptic.json"


@dataclass(frozen=True)
class Case:
    """One picture with one vocabulary."""

    name: str
    picture: Picture
    vocabulary: Vocabulary


ROOM = Vocabulary.parse(
    ["cat, kitten", "sofa,couch", "wooden floor", "window", "floor lamp,lamp", "bookshelf"],
    [True, True, False, False, True, True],
)
STREET = Vocabulary.parse(
    [
        "person,pedestrian",
        "car,cars",
        "traffic light",
        "road,street",
        "sidewalk,pavement",
        "building",
        "sky,clouds",
        "cable car",
        "rubbish bin",
        "scooter",
        "tree",
    ],
    [True, True, True, False, False, False, False, True, True, True, False],
)


def training_vocabulary() -> Vocabulary:
    """The classes that decide seen and unseen, as stored in the project."""
    classes = json.loads(TRAINING_CLASSES.read_text())["classes"]
    return Vocabulary([c["synonyms"] for c in classes], [c["thing"] for c in classes])


def drawn_cases() -> list[Case]:
    """Two sizes and two vocabularies, crossed."""
    wide, tall = draw_picture(180, 250, seed=1), draw_picture(333, 210, seed=4)
    return [
        Case("wide room", wide, ROOM),
        Case("wide street", wide, STREET),
        Case("tall room", tall, ROOM),
        Case("tall street", tall, STREET),
    ]


def photograph_cases() -> list[Case]:
    """Two real photographs with the street's words, where the checkout has ../shared/data."""
    folders = ("ade20k-sample/images", "coco-panoptic-sample/input_images")
    shared = ROOT.parent / "shared" / "data"
    paths = [path for name in folders for path in sorted((shared / name).glob("*.jpg"))[:1]]
    pictures = [(path.stem, np.asarray(Image.open(path).convert("RGB"))) for path in paths]
    return [Case(name, picture, STREET) for name, picture in pictures]
