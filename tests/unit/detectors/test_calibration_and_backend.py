"""QD501 to QD602: each planted fault gives its own code and nothing else; its healthy twin gives nothing."""

import math
from dataclasses import replace
from typing import Any, Literal

import pytest

from qdiag.config import load_preset
from qdiag.core.measures.ranges import Histogram
from qdiag.core.measures.records import PairRecord
from qdiag.core.measures.value_ranges.stored_range import StoredRange
from qdiag.core.scheme import LayerOverride, QuantScheme, TensorChange
from qdiag.detectors import detect
from tests.contexts import affine, codes, healthy, losses, planted, spread, sums, weights

SCHEME = load_preset("tf-uint8")


def test_measured_values_beyond_the_calibrated_range() -> None:
    (found,) = detect(planted(healthy(), "input:x", {}, {"measured_range": spread(0.0, 32.0)}))
    assert found.code == "QD501"
    assert found.layers == ("input:x",)
    figures = {e.name: (e.value, e.threshold) for e in found.sites[0].evidence}
    assert figures["overshoot"] == (pytest.approx(100 * (32 * 0.28 - 6) / 6), 20.0)
    assert found.repairs[0] == "calibrate_on_measured"


def test_measured_values_that_use_little_of_the_range() -> None:
    (found,) = detect(planted(healthy(), "input:x", {}, {"measured_range": spread(0.0, 1.5)}))
    figures = {e.name: (e.value, e.threshold) for e in found.sites[0].evidence}
    assert found.code == "QD501"
    assert figures["used_range"] == (pytest.approx(100 * 1.5 / 4.2), 50.0)


@pytest.mark.parametrize("high", [3.0, 5.0, 7.0, 9.0])
def test_two_samples_of_the_same_data_differ_a_little(high: float) -> None:
    assert codes(planted(healthy(), "input:x", {}, {"measured_range": spread(0.0, high)})) == []


def test_a_handful_of_values_says_nothing() -> None:
    few = replace(spread(0.0, 32.0), count=640)
    assert codes(planted(healthy(), "input:x", {}, {"measured_range": few})) == []


def test_nothing_is_known_of_the_measured_range() -> None:
    assert codes(planted(healthy(), "input:x", {}, {"measured_range": None})) == []


def entropy() -> QuantScheme:
    return replace(SCHEME, activations=replace(SCHEME.activations, calibrator="entropy"))


CLIPS = {
    "quantizer": affine(0.0, 1.0),
    "local": sums(8.0),
    "clipped_count": 200,
    "losses": losses(requantization=sums(9)),
}


def test_a_calibrator_that_clips_the_signal() -> None:
    (found,) = detect(planted(healthy(entropy()), "sum", CLIPS))
    assert found.code == "QD502"
    assert found.sites[0].evidence[0].value == pytest.approx(10**-0.9 / ((1 / 255) ** 2 / 12), rel=1e-6)
    assert found.sites[0].evidence[1].value == pytest.approx(2.0)
    assert found.repairs == ("cover_range",)


def test_without_losses_the_depth_of_the_cut_tells() -> None:
    (found,) = detect(planted(healthy(entropy()), "sum", CLIPS | {"losses": None}))
    assert found.code == "QD502"
    assert found.sites[0].evidence[0].value == pytest.approx(0.02 * 25 / 3 / ((1 / 255) ** 2 / 12))


GIVEN = LayerOverride("*", activations=TensorChange(range=(0.0, 6.0)))
FEW = {"data": replace(healthy().measurement.data, calibration_count=4)}


@pytest.mark.parametrize(
    ("code", "name", "record", "fact", "whole"),
    [
        ("QD501", "input:x", {}, {"measured_range": spread(0.0, 32.0)}, {}),
        ("QD502", "sum", CLIPS, {}, {}),
        ("QD503", "input:x", {}, {"measured_range": spread(0.0, 7.0)}, FEW),
    ],
)
def test_calibration_is_not_blamed_for_a_range_that_is_given(
    code: str, name: str, record: dict[str, Any], fact: dict[str, Any], whole: dict[str, Any]
) -> None:
    chosen, given = (healthy(replace(entropy(), layers=layers)) for layers in ((), (GIVEN,)))
    assert codes(planted(chosen, name, record, fact, **whole)) == [code]
    assert codes(planted(given, name, record, fact, **whole)) == []


def stored(kind: Literal["weight", "output"], layer: str = "stem", **changed: Any) -> dict[str, Any]:
    """A fake quantizer that was left as it should be, at a healthy layer, some fields replaced."""
    row = StoredRange(f"{layer}.{kind}", kind, layer, -127, 127, 1, "used", False, True, False)
    return {"capture": replace(healthy().measurement.capture, stored_ranges=(replace(row, **changed),))}


def test_an_observer_that_is_on_is_told_with_how_far_its_range_lies_from_the_values() -> None:
    half = {"measured_range": spread(0.0, 3.0)}
    (found,) = detect(planted(healthy(), "stem", {}, half, **stored("output", observes=True)))
    assert (found.code, found.layers) == ("QD504", ("stem",))
    assert found.sites[0].evidence[0].value == pytest.approx(50.0)
    assert codes(planted(healthy(), "pool", **stored("output", observes=False))) == []
    assert codes(planted(healthy(), "pool", **stored("output", observes=True, outcome="given by the scheme"))) == []


@pytest.mark.parametrize(
    ("local_db", "change", "expected"),
    [
        (20.0, {"is_on": False}, ["QD505"]),
        (20.0, {"is_on": False, "outcome": "no range"}, ["QD505"]),
        (20.0, {"is_on": False, "outcome": "not quantized"}, []),
        (20.0, {"is_on": True}, []),
        (30.0, {"is_on": False}, []),
    ],
)
def test_a_fake_quantizer_that_is_off_where_the_layer_loses(
    local_db: float, change: dict[str, Any], expected: list[str]
) -> None:
    assert codes(planted(healthy(), "sum", {"local": sums(local_db)}, **stored("output", "sum", **change))) == expected


@pytest.mark.parametrize(
    ("high", "change", "expected"),
    [
        (32.0, {}, ["QD506"]),
        (2.9, {}, ["QD506"]),
        (3.1, {}, []),
        (6.0, {}, []),
        (32.0, {"observes": True}, ["QD504"]),
        (32.0, {"outcome": "no place"}, []),
    ],
)
def test_values_that_the_stored_range_does_not_fit(high: float, change: dict[str, Any], expected: list[str]) -> None:
    given = healthy(replace(SCHEME, layers=(GIVEN,)))
    fact = {"measured_range": replace(spread(0.0, high), histogram=Histogram(high / 2, 0, (5_000, 5_000)))}
    found = detect(planted(given, "stem", {}, fact, **stored("output", **change)))
    assert [one.code for one in found] == expected
    assert all(one.repairs == ("cover_range",) for one in found if one.code == "QD506"), "no weight is concerned"


@pytest.mark.parametrize(
    ("count", "beyond", "expected"),
    [
        (100, 8, ["QD506"]),
        (180, 2, ["QD506"]),  # 0.3 % by the lower end of the score interval
        (10, 1, []),  # a single value
        (100, 1, []),
        (900, 2, []),  # 0.06 %
        (1000, 10, ["QD506"]),
    ],
)
def test_few_values_tell_as_much_as_their_share_is_sure_of(count: int, beyond: int, expected: list[str]) -> None:
    """Values up to 2, and some at 32, of a range that ends at 6."""
    counts = (*(count - beyond,), *(0,) * 14, beyond)
    few = replace(spread(0.0, 32.0), count=count, sampled_count=count, histogram=Histogram(2.0, 0, counts))
    given = healthy(replace(SCHEME, layers=(GIVEN,)))
    assert codes(planted(given, "stem", {}, {"measured_range": few}, **stored("output"))) == expected


@pytest.mark.parametrize(("count", "expected"), [(380, []), (381, ["QD506"])])
def test_half_of_a_range_is_unused_where_enough_values_were_seen(count: int, expected: list[str]) -> None:
    """Of 381 values that all lie inside, no more than 1 % of all may lie outside."""
    few = replace(spread(0.0, 2.9), count=count, sampled_count=count)
    given = healthy(replace(SCHEME, layers=(GIVEN,)))
    assert codes(planted(given, "stem", {}, {"measured_range": few}, **stored("output"))) == expected


@pytest.mark.parametrize(
    ("bounds", "weight_db", "channels"),
    [
        ((0.8, 2.0), 20.0, ((0, 1), 25.0, 50.0)),
        ((0.8, 2.0), 30.0, None),
        ((0.9, 1.9), 20.0, None),
        ((1.0, 2.5), 20.0, ((1,), 0.0, 40.0)),
    ],
)
def test_weights_that_the_stored_range_does_not_fit(
    bounds: tuple[float, float], weight_db: float, channels: tuple[tuple[int, ...], float, float] | None
) -> None:
    """All channels have weights up to 1; the first two have ranges of their own, those of the others fit."""
    ranges = tuple((-x, x) for x in (*bounds, *(1.0,) * 14))
    change = TensorChange(granularity="per_channel", channel_ranges=ranges)
    context = healthy(replace(load_preset("int8"), layers=(LayerOverride("stem", change),)))
    record = {"losses": losses(weight=sums(weight_db))}
    found = detect(planted(context, "stem", record, {"weight": weights((1.0,) * 16)}, **stored("weight")))
    if channels is None:
        assert found == ()
        return
    (site,) = found[0].sites
    figures = {e.name: e.value for e in site.evidence}
    assert (found[0].code, found[0].repairs) == ("QD506", ("cover_weights", "clip_weights"))
    assert (site.channels, figures["weight_overshoot"], figures["weight_used_range"]) == (
        channels[0], pytest.approx(channels[1]), pytest.approx(channels[2]),
    )  # fmt: skip


def test_what_the_calibrator_does_well() -> None:
    assert codes(planted(healthy(entropy()), "sum", CLIPS | {"local": sums(30.0)})) == []
    assert codes(planted(healthy(entropy()), "sum", CLIPS | {"clipped_count": 0})) == []
    assert codes(planted(healthy(), "sum", CLIPS)) == [], "min-max clips nothing of its own will"


def test_sums_beyond_the_accumulator() -> None:
    narrow = replace(SCHEME, accumulator_bits=16)
    (found,) = detect(planted(healthy(narrow), "body", {"losses": losses(saturation=sums(12.0))}))
    assert found.code == "QD601"
    assert found.sites[0].evidence[0].value == pytest.approx(12.0)
    assert found.sites[0].evidence[1].value == 16.0
    assert found.repairs[0] == "wide_accumulator"


@pytest.mark.parametrize("saturation", [math.inf, 128.0, 60.0])
def test_sums_that_fit(saturation: float) -> None:
    assert codes(planted(healthy(), "body", {"losses": losses(saturation=sums(saturation))})) == []


def test_a_bias_that_is_added_in_float_does_not_fill_the_accumulator() -> None:
    floating = replace(SCHEME, bias="float")
    assert codes(planted(healthy(floating), "body", {"losses": losses(saturation=sums(12.0))})) == []


def test_nothing_is_known_of_the_sums() -> None:
    assert codes(planted(healthy(), "body", {"losses": None})) == []


def pairs(**changed: object) -> QuantScheme:
    return replace(SCHEME, pair_saturation=True, **changed)  # type: ignore[arg-type]


SATURATED = PairRecord(2000, 50)


def test_pairs_that_saturate() -> None:
    record = {"losses": losses(saturation=sums(25.0)), "pairs": SATURATED}
    (found,) = detect(planted(healthy(pairs()), "body", record))
    assert found.sites[0].evidence[2].value == pytest.approx(2.5)
    assert found.code == "QD602"
    assert found.layers == ("body",)
    assert found.repairs[0] == "reduce_weight_bits"


def test_pairs_that_saturate_seldom_and_then_by_much() -> None:
    rare = replace(sums(55.0), max_abs_error=0.8)
    (found,) = detect(planted(healthy(pairs()), "body", {"losses": losses(saturation=rare), "pairs": SATURATED}))
    assert found.code == "QD602"
    assert (found.sites[0].evidence[1].value, found.sites[0].evidence[1].threshold) == (pytest.approx(0.8), 0.5)


def test_sums_saturate_in_a_layer_without_pairs() -> None:
    context = planted(healthy(pairs()), "body", {"losses": losses(saturation=sums(25.0))}, {"groups": 16})
    assert codes(context) == ["QD601"]


def test_depthwise_kernels_of_fbgemm_add_pairs_whatever_the_processor() -> None:
    record = {"losses": losses(saturation=sums(25.0)), "pairs": SATURATED}
    assert codes(planted(healthy(replace(SCHEME, arithmetic="fbgemm")), "body", record, {"groups": 16})) == ["QD602"]


def test_pairs_of_signed_activations_fit() -> None:
    signed = pairs(activations=replace(SCHEME.activations, signed=True))
    assert codes(planted(healthy(signed), "body", {"losses": losses(saturation=sums(math.inf))})) == []
