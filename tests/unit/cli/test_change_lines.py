"""The lines about a quantized network before and after a change."""

from dataclasses import replace

import pytest

from qdiag.cli.tables.change_lines import quantized_lines
from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.task import PairedCounts
from tests.figures import classified
from tests.measurements import measurement


def with_top1(counts: PairedCounts) -> Measurement:
    base = measurement()
    return replace(base, task=classified(counts.sample_count, counts.both, counts))


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        (PairedCounts(80, 6, 2, 12), "4.0 pp below float"),
        (PairedCounts(80, 2, 6, 12), "4.0 pp above float"),
        (PairedCounts(80, 3, 3, 14), "0.0 pp below float"),
    ],
)
def test_a_network_above_float_is_said_to_be_above(counts: PairedCounts, words: str) -> None:
    shown = [text.plain for _, text in quantized_lines(with_top1(PairedCounts(50, 36, 0, 14)), with_top1(counts))]
    assert words in shown[0]
    assert "-4.0 pp" not in shown[0]


def test_the_interval_of_a_gain_turns_with_it() -> None:
    lost = PairedCounts(80, 6, 2, 12)
    gained = PairedCounts(80, 2, 6, 12)
    interval = lost.drop_interval_pp
    words = f"(95 %: {interval.low:.1f} to {interval.high:.1f}), 100 samples"
    for counts in (lost, gained):
        assert words in next(text.plain for _, text in quantized_lines(with_top1(lost), with_top1(counts)))
