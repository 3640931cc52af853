import math
from dataclasses import replace

import pytest

from qdiag.core.measures.error_sums import ErrorSums
from qdiag.core.measures.records import LayerErrorSums
from qdiag.reading.words.layer_row import layer_rows, weakest, worst_first
from tests.measurements import awkward_measurement, small_records, sums


def test_the_drop_is_taken_against_the_worst_layer_before() -> None:
    rows = {row.record.name: row for row in layer_rows(small_records())}
    assert math.isnan(rows["input:x"].drop_db)
    assert rows["blocks.0.dw"].drop_db == pytest.approx(35.9 - 3.9)
    assert rows["blocks.1.add"].drop_db == pytest.approx(min(3.2, 4.4) - 3.6)


def test_infinite_figures_give_no_drop() -> None:
    first, second, *_ = small_records()
    rows = layer_rows([replace(first, propagated=sums(math.inf)), second])
    assert math.isnan(rows[1].drop_db)


def test_worst_first_by_either_key_with_float_layers_last() -> None:
    rows = layer_rows(small_records())
    by_local = [row.record.name for row in worst_first(rows)]
    assert by_local[:3] == ["blocks.0.dw", "blocks.0.pw", "blocks.1.dw"]
    assert by_local[-1] == "softmax"
    assert [r.record.name for r in worst_first(rows, "propagated")][:3] == [
        "blocks.0.pw",
        "blocks.1.add",
        "blocks.0.dw",
    ]


def test_no_signal_is_worst_and_undefined_is_last_of_the_quantized() -> None:
    rows = worst_first(layer_rows(awkward_measurement().records))
    assert rows[0].local_db == -math.inf
    assert math.isnan(rows[-2].local_db)
    assert rows[-1].is_float


def test_the_weakest_layer_is_a_quantized_one_that_lost_something() -> None:
    found = weakest(layer_rows(small_records()))
    assert found is not None
    assert found.record.name == "blocks.0.dw"
    weights_only = weakest(layer_rows([replace(r, quantizer=None) for r in small_records()]))
    assert weights_only is not None
    assert weights_only.record.name == "blocks.0.dw"
    perfect = [replace(r, local=sums(math.inf)) for r in small_records()]
    assert weakest(layer_rows(perfect)) is None
    assert weakest(layer_rows([replace(perfect[0], local=ErrorSums())])) is None
    assert weakest(()) is None


def test_a_hundred_times_the_noise_of_rounding_is_flagged() -> None:
    flagged = [row.record.name for row in layer_rows(small_records()) if row.is_below_expected]
    assert flagged == ["blocks.0.dw"]


def test_nonfinite_values_are_counted_wherever_they_appear() -> None:
    rows = layer_rows(awkward_measurement().records)
    assert [row.nonfinite_count for row in rows][:4] == [7, 0, 0, 3]


def test_a_drop_is_taken_between_figures_of_the_same_samples() -> None:
    first, second, *_ = small_records()
    of_few = LayerErrorSums(sums(40.0), sums(30.0))
    rows = layer_rows([first, replace(second, on_fewer=of_few)])
    assert rows[1].drop_db == pytest.approx(first.propagated.sqnr_db - 30.0)
    assert rows[1].propagated_db == second.propagated.sqnr_db and rows[1].is_drop_on_fewer
    rows = layer_rows([replace(first, on_fewer=of_few), second])
    assert rows[1].drop_db == pytest.approx(30.0 - second.propagated.sqnr_db)
    assert not rows[1].is_drop_on_fewer, "what stands beside it is of the same samples"


def test_of_layers_that_were_all_measured_on_more_samples_it_is_that_of_these() -> None:
    first, second, *_ = small_records()
    of_few = LayerErrorSums(sums(40.0), sums(30.0))
    rows = layer_rows([replace(first, on_fewer=of_few), replace(second, on_fewer=of_few)])
    assert rows[1].drop_db == pytest.approx(first.propagated.sqnr_db - second.propagated.sqnr_db)
    assert not rows[1].is_drop_on_fewer
