"""The lines about a quantized network before and after a change."""

from dataclasses import replace

import numpy as np
import pytest

from qdiag.cli.tables.change_lines import float_change_lines, quantized_lines
from qdiag.core.causes.repair import FloatChange
from qdiag.core.measures.change import held_against
from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.outcomes import SampleOutcomes, pack_bits
from qdiag.core.measures.task import Criterion, PairedCounts
from qdiag.simulate.task.means import mean_figure
from tests.figures import classified, top
from tests.measurements import measurement

PSNR = Criterion("PSNR", "dB", "dB", True, 0.1, 0.1)


def with_top1(counts: PairedCounts) -> Measurement:
    base = measurement()
    return replace(base, task=classified(counts.sample_count, counts.both, counts))


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        (PairedCounts(80, 6, 2, 12), "4.0 pp below float"),
        (PairedCounts(80, 2, 6, 12), "4.0 pp above float"),
        (PairedCounts(80, 3, 3, 14), "as float"),
    ],
)
def test_a_network_above_float_is_said_to_be_above(counts: PairedCounts, words: str) -> None:
    shown = [text.plain for _, text in quantized_lines(with_top1(counts), with_top1(counts))]
    assert words in shown[0]
    assert "-4.0 pp" not in shown[0]


def test_the_interval_of_a_gain_turns_with_it() -> None:
    lost = PairedCounts(80, 6, 2, 12)
    gained = PairedCounts(80, 2, 6, 12)
    interval = lost.drop_interval_pp
    words = f"(95 %: {interval.low:.1f} to {interval.high:.1f}), 100 samples"
    for counts in (lost, gained):
        assert words in next(text.plain for _, text in quantized_lines(with_top1(counts), with_top1(counts)))


def with_bits(reference: list[bool], simulated: list[bool]) -> Measurement:
    task = with_top1(PairedCounts(1)).task
    outcomes = SampleOutcomes(len(reference), pack_bits(reference), pack_bits(simulated))
    counts = PairedCounts.of_bits(reference=outcomes.reference, simulated=outcomes.simulated, count=len(reference))
    assert counts is not None
    return replace(measurement(), task=replace(task, sample_count=len(reference), figures=(top(1, counts, outcomes),)))


def test_a_repair_that_spoils_the_float_network_is_held_against_the_one_before() -> None:
    """90 of 100 are right in float and 50 after the repair, where 80 are right in the quantized network."""
    before = with_bits([True] * 90 + [False] * 10, [True] * 20 + [False] * 80)
    after = with_bits([True] * 50 + [False] * 50, [True] * 75 + [False] * 20 + [True] * 5)
    (shown,) = [text.plain for label, text in quantized_lines(before, after) if "top-1" in text.plain]
    interval = PairedCounts(75, 15, 5, 5).drop_interval_pp
    bounds = f"(95 %: {interval.low:.1f} to {interval.high:.1f})"
    assert shown == f"top-1 20.0 % → 80.0 %, 10.0 pp below float {bounds}, 100 samples"


def test_numbers_are_paired_with_the_float_network_before() -> None:
    generator = np.random.default_rng(0)
    good, spoiled, low = (generator.normal(mean, 1.0, 40) for mean in (3.0, 1.0, 2.5))
    figures = [
        mean_figure(PSNR, reference=np.stack([r, np.ones(40)], 1), simulated=np.stack([s, np.ones(40)], 1))
        for r, s in ((good, good - 2.0), (spoiled, low))
    ]
    found = held_against(*figures)
    margin = 1.959963984540054 * (good - low).std(ddof=1) / np.sqrt(40)
    assert found.loss == pytest.approx((good - low).mean(), abs=1e-6)
    assert found.loss_interval.low == pytest.approx((good - low).mean() - margin, abs=1e-5)
    without = replace(figures[1], outcomes=None)
    assert np.isnan(held_against(figures[0], without).loss_interval.low)


def test_a_spoiled_float_network_is_said_beside_its_figure() -> None:
    task = with_bits([True] * 90 + [False] * 10, [True] * 50 + [False] * 50).task
    lines = [text.plain for _, text in float_change_lines(FloatChange((), task, 0.7), 2.0)]
    assert "top-1 90.0 % → 50.0 %" in lines
    assert lines[-1].endswith("made for the quantized network alone: in float, 40.0 pp of top-1 are lost")
    sound = with_bits([True] * 90 + [False] * 10, [True] * 90 + [False] * 10).task
    assert not any("alone" in text.plain for _, text in float_change_lines(FloatChange((), sound, 0.7), 2.0))
