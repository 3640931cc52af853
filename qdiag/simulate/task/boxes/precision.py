"""Average precision of boxes as COCO computes it."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from qdiag.core.measures.task import UNDEFINED, Criterion, Figure
from qdiag.errors import DataError
from qdiag.simulate.task.base import Gain, Table, difference
from qdiag.simulate.task.boxes.found import THRESHOLDS, Floats, Labels
from qdiag.simulate.task.boxes.reader import BoxReader
from qdiag.simulate.task.boxes.table import CLASS, HITS, IMAGE, SCORE, TRUE_BOX, BoxTally
from qdiag.simulate.task.sums import BLOCKS, draws, gain_interval, with_intervals

_RECALLS = np.linspace(0.0, 1.0, 101)
RESAMPLES = 200
"""Draws of the bootstrap: less than for sums, because each draw orders and counts all boxes anew."""
_LARGEST = 4_000_000
"""Numbers that are held at a time for draws times boxes of a class."""


@dataclass(frozen=True)
class BoxPrecision:
    """Mean over classes of average precision: over ten overlaps from 0.50 to 0.95 (`mAP`), or at 0.50 (`mAP50`).

    Precision at 101 recalls, boxes of all sizes, a hundred boxes per image, boxes inside crowds left out. Source: Lin
    et al., arXiv 1405.0312, and COCOeval of its authors. Intervals are of the paired bootstrap over images.
    """

    reader: BoxReader
    kind: Literal["mAP", "mAP50"] = "mAP"

    @property
    def criterion(self) -> Criterion:
        return Criterion(self.kind)

    @property
    def key(self) -> Hashable:
        return "boxes", self

    def tally(self) -> BoxTally:
        return BoxTally(self.reader)

    def figure(self, *, reference: Table, simulated: Table) -> Figure:
        """See `Task.figure`.

        Raises:
            DataError: there are images, but no true box in any.
        """
        if len(reference) and not (reference[:, HITS] == TRUE_BOX).any():
            raise DataError(
                "no image has a true box", hint="without targets, boxes are held against the float network's"
            )
        one, other = (self._values(table) for table in (reference, simulated))
        count = image_count(simulated)
        if count < 2:
            return Figure(self.criterion, count, float(one[0]), float(other[0]))
        found = Figure(self.criterion, count, float(one[0]), float(other[0]))
        return with_intervals(found, count, reference=one[1:], simulated=other[1:], unit_count=true_count(simulated))

    def gain(self, *, before: Table, after: Table) -> Gain:
        one, other = (self._values(table) for table in (before, after))
        gained = difference(self.criterion, before=float(one[0]), after=float(other[0]))
        if image_count(after) < 2 or not np.isfinite(gained):
            return Gain(gained, UNDEFINED)
        drawn, count = {"before": one[1:], "after": other[1:]}, image_count(after)
        return Gain(gained, gain_interval(self.criterion, gained, count, **drawn, unit_count=true_count(after)))

    def _values(self, table: Table) -> Floats:
        """Over all images, then for each draw of them; the same draws for all tables of the same images."""
        count = image_count(table)
        weights = np.ones((1, count))
        if count >= 2:
            blocks = np.arange(count) % BLOCKS  # of more images every so many are drawn together
            weights = np.concatenate((weights, draws(min(count, BLOCKS))[:RESAMPLES, blocks]))
        return mean_precision(table, weights, 1 if self.kind == "mAP50" else len(THRESHOLDS))


def image_count(table: Table) -> int:
    """Images of a table of `BoxTally`."""
    return int(table[:, IMAGE].max(initial=-1.0)) + 1


def true_count(table: Table) -> int:
    """True boxes of all its images."""
    return int((table[:, HITS] == TRUE_BOX).sum())


def mean_precision(table: Table, weights: Floats, thresholds: int = len(THRESHOLDS)) -> Floats:
    """Percent for each row of weights, (B,); NaN without true boxes.

    An image of weight 2 counts like two images with the same boxes.

    Args:
        table: of `BoxTally`. weights: of the images, (B, N). thresholds: the first so many count.
    """
    images = table[:, IMAGE].astype(np.int64)
    is_true = table[:, HITS] == TRUE_BOX
    total, seen = np.zeros(len(weights)), np.zeros(len(weights))
    for label in np.unique(table[is_true, CLASS]):
        own = table[:, CLASS] == label
        found = np.flatnonzero(own & (table[:, HITS] >= 0.0))
        found = found[np.argsort(-table[found, SCORE], kind="stable")]
        bits = table[found, HITS].astype(np.int64)
        step = max(1, _LARGEST // max(len(found), 1))
        for start in range(0, len(weights), step):
            rows = slice(start, start + step)
            count = weights[rows][:, images[own & is_true]].sum(1)
            total[rows] += _of_class(weights[rows][:, images[found]], bits, count, thresholds)
            seen[rows] += count > 0.0
    mean: Floats = 100.0 * np.divide(total, seen, out=np.full(len(weights), np.nan), where=seen > 0.0)
    return mean


def _of_class(weights: Floats, bits: Labels, count: Floats, thresholds: int) -> Floats:
    """Mean over thresholds of the average precision of one class, (B,); 0 where it has no true boxes.

    Only at a box that is right do precision and recall rise, so that the others need no curve of their own.

    Args:
        weights: of the found boxes, best first, (B, M). bits: see `HITS`. count: of the true boxes, (B,).
    """
    so_far, has_crowds = weights.cumsum(1), bool((bits >> len(THRESHOLDS)).any())
    found = np.zeros(len(weights))
    for t in range(thresholds):
        in_crowd = bits >> (t + len(THRESHOLDS)) & 1
        so_far = np.where(in_crowd, 0.0, weights).cumsum(1) if has_crowds else so_far
        right = np.flatnonzero(bits >> t & 1)
        hit = weights[:, right].cumsum(1)
        precision = np.divide(hit, so_far[:, right], out=np.zeros_like(hit), where=hit > 0.0)
        highest = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        recall = np.divide(hit, count[:, None], out=np.zeros_like(hit), where=count[:, None] > 0.0)
        reached = np.searchsorted(_RECALLS, recall, side="right")
        found += (np.diff(reached, axis=1, prepend=0) * highest).sum(1) / len(_RECALLS)
    return found / thresholds
