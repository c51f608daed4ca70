"""How far two outcomes are apart."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from oracle.heads import Instances

from .reference import Outcome, PanopticMap


@dataclass(frozen=True)
class Agreement:
    """Relative differences in the max norm, and shares of pixels that agree."""

    mask_logits: float
    mask_logits_rms: float
    class_log_probs: float
    class_argmax: float
    labels: float
    labels_resized_scores: float
    decided_labels: float
    panoptic: float
    panoptic_loose: float
    instances: float

    def __str__(self) -> str:
        """One line of figures."""
        return (
            f"masks {self.mask_logits:.1e} (rms {self.mask_logits_rms:.1e})  "
            f"log-probs {self.class_log_probs:.1e}  argmax {self.class_argmax:.2%}  "
            f"labels {self.labels:.3%} / {self.labels_resized_scores:.3%} "
            f"(decided {self.decided_labels:.3%})  "
            f"panoptic {self.panoptic:.3%} / {self.panoptic_loose:.3%}  "
            f"instances {self.instances:.1%}"
        )


def relative_difference(actual: Tensor, expected: Tensor) -> float:
    """Largest absolute difference over the largest absolute value expected."""
    if actual.shape != expected.shape or not torch.isfinite(actual).all():
        return float("inf")
    return float((actual.double() - expected.double()).abs().max() / expected.abs().max())


def relative_rms(actual: Tensor, expected: Tensor) -> float:
    """Root mean square of the difference over that of what was expected."""
    if actual.shape != expected.shape or not torch.isfinite(actual).all():
        return float("inf")
    return float((actual.double() - expected.double()).norm() / expected.double().norm())


def share_equal(actual: Tensor, expected: Tensor) -> float:
    """Share of elements that are equal; 0 where shapes differ."""
    if actual.shape != expected.shape:
        return 0.0
    return float((actual == expected).double().mean())


def decided_share(actual: Outcome, expected: Outcome) -> float:
    """Share of equal labels where the expected label leads clearly (all pixels if unknown)."""
    if expected.decided is None or not bool(expected.decided.any()):
        return share_equal(actual.labels.long(), expected.labels)
    where = expected.decided
    return share_equal(actual.labels.long()[where], expected.labels[where])


def panoptic_share(actual: PanopticMap, expected: PanopticMap) -> float:
    """Share of pixels in matched segments of one class, or unlabelled in both.

    Ids need not be equal: each expected segment is matched to the one that covers most of it.
    """
    ours, theirs = actual[0].long(), expected[0].long()
    if ours.shape != theirs.shape:
        return 0.0
    class_of = {s.id: s.class_index for s in actual[1]}
    agreed = int(((ours == 0) & (theirs == 0)).sum())
    taken: set[int] = set()
    for segment in expected[1]:
        inside = ours[theirs == segment.id]
        counts = inside[inside > 0].bincount() if len(inside) else torch.zeros(0)
        if not len(counts):
            continue
        best = int(counts.argmax())
        if best in taken or class_of.get(best) != segment.class_index:
            continue
        taken.add(best)
        agreed += int(counts[best])
    return agreed / ours.numel()


def instance_share(actual: Instances, expected: Instances, score_tolerance: float) -> float:
    """Share of non-empty instances with a partner of one class, near score and equal mask.

    A mask is taken as equal at 99.5 % intersection over union. Instances that the oracle finds
    with an empty mask are not results.
    """
    keep = expected.masks.flatten(1).any(1)
    total = max(int(keep.sum()), len(actual.scores))
    if total == 0:
        return 1.0
    free = set(range(len(actual.scores)))
    matched = 0
    for index in keep.nonzero().flatten().tolist():
        partner = _partner(actual, expected, index, free, score_tolerance)
        if partner is not None:
            free.discard(partner)
            matched += 1
    return matched / total


def _partner(
    actual: Instances, expected: Instances, index: int, free: set[int], score_tolerance: float
) -> int | None:
    for candidate in sorted(free):
        if actual.classes[candidate] != expected.classes[index]:
            continue
        if abs(float(actual.scores[candidate] - expected.scores[index])) > score_tolerance:
            continue
        ours, theirs = actual.masks[candidate], expected.masks[index]
        if float((ours & theirs).sum() / (ours | theirs).sum()) > 0.995:
            return candidate
    return None


def compare(actual: Outcome, expected: Outcome, score_tolerance: float = 2e-3) -> Agreement:
    """All figures of one case."""
    return Agreement(
        mask_logits=relative_difference(actual.mask_logits, expected.mask_logits),
        mask_logits_rms=relative_rms(actual.mask_logits, expected.mask_logits),
        class_log_probs=relative_difference(actual.class_log_probs, expected.class_log_probs),
        class_argmax=share_equal(
            actual.class_log_probs.argmax(-1), expected.class_log_probs.argmax(-1)
        ),
        labels=share_equal(actual.labels.long(), expected.labels),
        labels_resized_scores=share_equal(
            actual.labels_resized_scores.long(), expected.labels_resized_scores
        ),
        decided_labels=decided_share(actual, expected),
        panoptic=panoptic_share(actual.panoptic, expected.panoptic),
        panoptic_loose=panoptic_share(actual.panoptic_loose, expected.panoptic_loose),
        instances=instance_share(actual.instances, expected.instances, score_tolerance),
    )
