"""Class names → prompts → token ids, and which classes training has seen."""

from __future__ import annotations

import functools
import gzip
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

MERGES = Path(__file__).resolve().parents[2] / "models/lexiseg_models/export/clip_bpe_merges.txt.gz"
START_ID, END_ID, CONTEXT_LENGTH = 49406, 49407, 77


def _templates() -> list[str]:
    photo = ["a photo of a {}."]
    plain = [
        "This is a photo of a {}",
        "There is a {} in the scene",
        "There is the {} in the scene",
        "a photo of a {} in the scene",
    ]
    sized = [
        form.format(size)
        for size in ("small", "medium", "large")
        for form in (
            "a photo of a {} {{}}.",
            "This is a photo of a {} {{}}.",
            "There is a {} {{}} in the scene.",
        )
    ]
    return photo + plain + sized


TEMPLATES = _templates()


@dataclass(frozen=True)
class Vocabulary:
    """Ordered classes, each a list of synonyms, and whether each is a thing."""

    classes: list[list[str]]
    thing: list[bool]

    @classmethod
    def parse(cls, entries: list[str], thing: list[bool]) -> Vocabulary:
        """entries: comma-separated synonyms, one entry per class."""
        return cls([e.replace(", ", ",").split(",") for e in entries], thing)

    @property
    def synonym_counts(self) -> list[int]:
        """Synonyms per class."""
        return [len(c) for c in self.classes]

    def seen(self, training: Vocabulary) -> Tensor:
        """bool [K]: a class is seen if one of its strings is one of the training strings."""
        known = {name for synonyms in training.classes for name in synonyms}
        return torch.tensor([any(name in known for name in c) for c in self.classes])

    def prompts(self) -> Tensor:
        """int64 token ids [S, 14, 77]."""
        names = [name for synonyms in self.classes for name in synonyms]
        rows = [[tokenize(t.format(name)) for t in TEMPLATES] for name in names]
        return torch.tensor(rows)


def read_name_file(path: Path, first_id: int = 1) -> list[str]:
    """Entries of an `id:name1,name2` file, those below `first_id` left out."""
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines():
        number, _, names = line.partition(":")
        if names and int(number) >= first_id and names != "invalid_class_id":
            entries.append(names)
    return entries


@functools.cache
def _byte_symbols() -> list[str]:
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    symbols = {b: chr(b) for b in printable}
    for b in range(256):
        if b not in symbols:
            symbols[b] = chr(256 + len(symbols) - len(printable))
    return [symbols[b] for b in range(256)]


@functools.cache
def _tables() -> tuple[dict[tuple[str, str], int], dict[str, int]]:
    lines = gzip.decompress(MERGES.read_bytes()).decode("utf-8").split("\n")
    pairs = [tuple(line.split()) for line in lines if len(line.split()) == 2]
    merges = [(p[0], p[1]) for p in pairs][:48894]
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    order = printable + [b for b in range(256) if b not in set(printable)]
    alphabet = [_byte_symbols()[b] for b in order]
    words = alphabet + [a + "</w>" for a in alphabet] + [a + b for a, b in merges]
    return {pair: i for i, pair in enumerate(merges)}, {w: i for i, w in enumerate(words)}


@functools.cache
def _encode_word(word: str) -> tuple[int, ...]:
    ranks, ids = _tables()
    symbols = [_byte_symbols()[b] for b in word.encode("utf-8")]
    symbols[-1] += "</w>"
    while len(symbols) > 1:
        pairs = list(zip(symbols, symbols[1:], strict=False))
        best = min(pairs, key=lambda p: ranks.get(p, len(ranks)))
        if best not in ranks:
            break
        merged: list[str] = []
        for symbol in symbols:
            if merged and (merged[-1], symbol) == best:
                merged[-1] += symbol
            else:
                merged.append(symbol)
        symbols = merged
    return tuple(ids[s] for s in symbols)


def tokenize(text: str) -> list[int]:
    """CLIP's byte-pair ids of plain text, padded with zeros to 77."""
    words = re.findall(r"'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|(?:[^\s\w]|_)+", text.lower().strip())
    ids = [i for word in words for i in _encode_word(word)][: CONTEXT_LENGTH - 2]
    row = [START_ID, *ids, END_ID]
    return row + [0] * (CONTEXT_LENGTH - len(row))
