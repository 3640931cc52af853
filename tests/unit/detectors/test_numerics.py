"""QD901 to QD903: each planted fault gives its own code and nothing else; its healthy twin gives nothing."""

from dataclasses import replace

import pytest

from qdiag.detectors import DetectionContext, detect
from tests.contexts import affine, codes, healthy, planted, spread, sums


def test_nan_where_it_begins() -> None:
    context = healthy()
    for name in ("body", "pool", "squeeze"):
        context = planted(context, name, {"local": replace(sums(36.0), reference_nonfinite_count=3)})
    (found,) = detect(context)
    assert found.code == "QD901"
    assert found.layers == ("body",)
    assert found.sites[0].evidence[0].value == 3.0
    assert found.repairs == ()


def test_nan_that_quantization_makes() -> None:
    context = planted(healthy(), "sum", {"propagated": replace(sums(20.0), simulated_nonfinite_count=7)})
    (found,) = detect(context)
    assert found.code == "QD901"
    assert [e.value for e in found.sites[0].evidence] == [7.0, 0.0]


def in_float(context: DetectionContext, *but: str) -> DetectionContext:
    for record in context.measurement.records:
        if record.name not in but:
            context = planted(context, record.name, {"quantizer": None, "weight": None, "skip_reason": "asked for"})
    return context


def test_nothing_is_quantized() -> None:
    (found,) = detect(in_float(healthy(), "input:x"))
    assert found.code == "QD902"
    assert found.layers == tuple(record.name for record in healthy().measurement.records[1:])
    assert found.repairs == ()


def test_one_layer_is_quantized() -> None:
    assert codes(in_float(healthy(), "input:x", "body")) == []


def test_a_scale_from_nothing_but_zeros() -> None:
    silent = {"range": spread(0.0, 0.0), "quantizer": replace(affine(0.0, 255.0), scale=1.0), "local": sums(8.0)}
    (found,) = detect(planted(healthy(), "relu", silent))
    assert found.code == "QD903"
    assert found.sites[0].evidence[0].name == "range_over_step"
    assert found.sites[0].evidence[0].value == 0.0
    assert found.repairs[0] == "calibrate_on_measured"


def test_a_layer_that_never_says_anything() -> None:
    zero = replace(sums(36.0), reference_sq_sum=0.0, error_sq_sum=0.0)
    silent = {"range": spread(0.0, 0.0), "quantizer": replace(affine(0.0, 255.0), scale=1.0), "local": zero}
    assert codes(planted(healthy(), "relu", silent)) == []


def test_a_mask_that_swallows_all_the_rest() -> None:
    seen = replace(spread(-1e9, 5.0, zeros=0.0), percentiles=(-1e9, -1e9, -1e9, -0.5, 3.0, 4.0, 4.5))
    masked = {"range": seen, "quantizer": affine(-1e9, 5.0)}
    (found,) = detect(planted(healthy(), "sum", masked, {"measured_range": seen}))
    assert found.code == "QD903"
    assert (found.sites[0].evidence[0].value, found.sites[0].evidence[0].threshold) == (1e9, 1e6)


@pytest.mark.parametrize("largest", [1e3, 1e7])
def test_large_values_that_are_all_alike(largest: float) -> None:
    seen = spread(-largest, largest)
    large = {"range": replace(seen, percentiles=(-largest,) * 3 + (largest / 2,) + (largest,) * 3)}
    context = planted(healthy(), "sum", large | {"quantizer": affine(-largest, largest)}, {"measured_range": seen})
    assert codes(context) == []


def test_facts_and_records_belong_together() -> None:
    context = healthy()
    with pytest.raises(ValueError, match="do not go together"):
        DetectionContext(context.measurement, context.facts[1:])
