"""Which layer of a sensitivity sweep costs most, and how much of the loss."""

import math
from dataclasses import replace

import pytest

from qdiag.core.causes.score import Score
from qdiag.core.measures.task import Interval
from tests.diagnoses import diagnosis


def test_layers_whose_output_is_not_finite_come_first() -> None:
    sweep = diagnosis().sensitivity
    assert sweep is not None
    ordered = sweep.most_sensitive
    last = ordered[-1]
    assert last.alone is not None and len(ordered) > 2
    broken = replace(last, alone=replace(last.alone, outputs=()))
    assert broken.alone is not None and math.isnan(broken.alone.output_sqnr_db)
    rows = tuple(broken if row is last else row for row in sweep.rows)
    assert replace(sweep, rows=rows).most_sensitive == (broken, *ordered[:-1])


def lost(score: Score, *, points: float, of_samples: int) -> Score:
    """The score on so many samples, of which the quantized network loses so many points, beyond noise."""
    judged = score.task.judged
    assert judged is not None
    figure = replace(judged, reference=80.0, simulated=80.0 - points, loss_interval=Interval(points / 2, points * 2))
    return replace(score, task=replace(score.task, sample_count=of_samples, figures=(figure,)))


def test_a_share_of_the_loss_is_that_on_the_samples_of_the_layer() -> None:
    sweep = diagnosis().sensitivity
    assert sweep is not None and sweep.rows[0].alone is not None
    row = replace(sweep.rows[0], alone=lost(sweep.rows[0].alone, points=30.0, of_samples=32))
    whole = lost(sweep.quantized, points=60.0, of_samples=500)
    same = lost(sweep.quantized, points=40.0, of_samples=32)
    other = lost(sweep.quantized, points=10.0, of_samples=64)
    assert replace(sweep, rows=(row,), quantized=whole).share_of_loss(row) == pytest.approx(0.5)
    found = replace(sweep, rows=(row,), quantized=whole, quantized_on_fewer=(other, same))
    assert found.share_of_loss(row) == pytest.approx(0.75)
    nothing = lost(sweep.quantized, points=0.0, of_samples=32)
    assert replace(found, quantized_on_fewer=(nothing,)).share_of_loss(row) == 1.0
    sound = replace(found, quantized=lost(sweep.quantized, points=0.1, of_samples=500))
    assert math.isnan(sound.share_of_loss(row)), "there is no loss to have a share of"
