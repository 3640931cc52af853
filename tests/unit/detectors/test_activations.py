"""QD201 to QD210: each planted fault gives its own code and nothing else; its healthy twin gives nothing."""

import math
from dataclasses import replace

import pytest
import torch

from qdiag.core.measures.quantizer import QuantizerRecord
from qdiag.core.measures.ranges import Histogram, TensorRange
from qdiag.detectors import DetectionContext, detect
from qdiag.detectors.base import below_step_percent
from qdiag.numerics.observer import ObserverOptions, TensorObserver
from tests.contexts import affine, channel_ranges, codes, healthy, losses, planted, spread, sums, symmetric

FAR = {"range": spread(0.0, 300.0, bulk=0.01), "quantizer": affine(0.0, 300.0), "local": sums(9.0)}
"""The 99.9th percentile at 3, the maximum at 300; a signal power of 1."""


def test_rare_outliers() -> None:
    (found,) = detect(planted(healthy(), "sum", FAR, {"measured_range": FAR["range"]}))
    assert found.code == "QD201"
    assert found.layers == ("sum",)
    figure = found.sites[0].evidence[0]
    assert (figure.name, figure.value, figure.threshold) == ("range_over_bulk", pytest.approx(100.0), 8.0)
    assert found.repairs[0] == "clip_activations_mse"


def test_outliers_that_the_calibrator_clips_already() -> None:
    covered = FAR | {"quantizer": affine(0.0, 6.0), "local": sums(36.0)}
    assert codes(planted(healthy(), "sum", covered, {"measured_range": FAR["range"]})) == []


def test_outliers_with_bits_to_spare() -> None:
    fine = FAR | {"quantizer": affine(0.0, 300.0, bits=16), "local": sums(50.0)}
    assert codes(planted(healthy(), "sum", fine, {"measured_range": FAR["range"]})) == []


def test_a_shared_quantizer_is_blamed_where_it_was_made() -> None:
    shared = FAR | {"quantizer": replace(affine(0.0, 300.0), shared_with="body")}
    assert codes(planted(healthy(), "pool", shared, {"measured_range": FAR["range"]})) == []


CUT = {"losses": losses(clipping=sums(6.0)), "local": sums(22.0)}
RELU6 = {"clamp": (0.0, 6.0), "saturated_at_bound_fraction": 0.2}


def test_relu6_that_cuts_deep() -> None:
    (found,) = detect(planted(healthy(), "body", CUT, RELU6))
    assert found.code == "QD202"
    assert found.sites[0].evidence[0].value == pytest.approx(6.0)
    assert found.sites[0].evidence[1].value == pytest.approx(20.0)
    assert found.repairs == ("replace_relu6",)


@pytest.mark.parametrize(
    ("record", "fact"),
    [
        ({"losses": losses(clipping=sums(25.0))}, {}),
        ({"losses": None}, {}),
        ({}, {"clamp": (0.0, 20.0)}),
        ({}, {"saturated_at_bound_fraction": 0.001}),
    ],
)
def test_relu6_that_is_harmless(record: dict[str, object], fact: dict[str, object]) -> None:
    assert codes(planted(healthy(), "body", CUT | record, RELU6 | fact)) == []


def four_bits(quantizer: QuantizerRecord) -> dict[str, object]:
    return {"quantizer": quantizer, "local": sums(14.0)}


def test_one_sided_values_under_a_symmetric_quantizer() -> None:
    (found,) = detect(planted(healthy(), "sum", four_bits(symmetric(6.0, bits=4))))
    assert found.code == "QD203"
    figure = found.sites[0].evidence[0]
    assert (figure.value, figure.threshold) == (pytest.approx(50.0), 40.0)
    assert found.repairs == ("asymmetric_activations",)


def test_a_lost_bit_that_eight_bits_can_spare() -> None:
    assert codes(planted(healthy(), "sum", {"quantizer": symmetric(6.0)})) == []


def test_affine_and_unsigned_quantizers_lose_no_side() -> None:
    assert codes(planted(healthy(), "sum", four_bits(affine(0.0, 6.0, bits=4)))) == []
    unsigned = replace(affine(0.0, 6.0, bits=4), symmetric=True)
    assert codes(planted(healthy(), "sum", four_bits(unsigned))) == []


def test_values_of_both_signs_under_a_symmetric_quantizer() -> None:
    both = four_bits(symmetric(6.0, bits=4)) | {"range": spread(-5.0, 6.0)}
    assert codes(planted(healthy(), "sum", both, {"measured_range": spread(-5.0, 6.0)})) == []


def test_a_lobe_without_levels() -> None:
    wide = {"range": spread(-0.28, 40.0), "quantizer": affine(-0.28, 40.0), "local": sums(17.0)}
    (found,) = detect(planted(healthy(), "silu", wide, {"measured_range": wide["range"]}))
    assert found.code == "QD204"
    assert found.layers == ("silu",)
    assert found.sites[0].evidence[1].name == "lobe_levels"
    assert found.sites[0].evidence[1].value == pytest.approx(0.28 / (40.28 / 255))


def test_a_lobe_that_hardly_matters() -> None:
    wide = {"range": spread(-0.28, 40.0), "quantizer": affine(-0.28, 40.0), "local": sums(31.0)}
    assert codes(planted(healthy(), "silu", wide, {"measured_range": wide["range"]})) == []


def test_a_softmax_that_rounds_to_nothing() -> None:
    seen = replace(spread(0.0, 1.0, zeros=0.0), percentiles=(0.0, 0.0, 0.0, 0.001, 0.2, 0.5, 0.9))
    soft = {"kind": "softmax", "range": seen, "quantizer": affine(0.0, 1.0), "local": sums(15.0)}
    (found,) = detect(planted(healthy(), "silu", soft, {"measured_range": seen}))
    assert found.code == "QD204"
    assert found.sites[0].evidence[1].name == "median_levels"


def test_few_wide_channels_hide_behind_a_good_figure() -> None:
    channels = channel_ranges(tuple(60.0 if c == 4 else 0.3 for c in range(16)))
    wide = {"quantizer": affine(0.0, 60.0)}
    (found,) = detect(planted(healthy(), "sum", wide, {"channels": channels}))
    assert found.code == "QD205"
    assert found.sites[0].channels == (4,)
    assert found.sites[0].evidence[0].value == pytest.approx(7.64, abs=0.01)
    assert found.repairs[0] == "equalize"


@pytest.mark.parametrize("widths", [(60.0, 0.3) * 8, (60.0,) + (10.0,) * 15, (60.0,) + (0.0,) * 15, (0.0,) * 16])
def test_channels_without_few_that_reach_far(widths: tuple[float, ...]) -> None:
    wide = {"quantizer": affine(0.0, 60.0)}
    assert codes(planted(healthy(), "sum", wide, {"channels": channel_ranges(widths)})) == []


def tail(share: float, *, zeros: float = 0.0, kurtosis: float = 40.0) -> TensorRange:
    """A share of the values that are not zero in the first of 256 bins up to 256, the others spread over the rest."""
    count = 25_600
    others = (1.0 - zeros) * count
    near = round(zeros * count + share * others)
    rest = round((1.0 - share) * others / 255)
    counts = (near, *[rest] * 255)
    seen = spread(0.0, 256.0, zeros=zeros)
    return replace(seen, kurtosis=kurtosis, histogram=Histogram(1.0, 0, counts), count=count, sampled_count=count)


def heavy(share: float, **changes: float) -> tuple[dict[str, object], dict[str, object]]:
    """What an input is when a share of its values lies below one step, which is one bin."""
    seen = tail(share, **changes)
    quantizer = affine(0.0, 255.0)
    return {"range": seen, "quantizer": quantizer, "local": sums(40.0, 500.0)}, {"measured_range": seen}


@pytest.mark.parametrize("zeros", [0.0, 0.5])
def test_an_input_of_which_most_lies_below_one_step(zeros: float) -> None:
    context = planted(healthy(), "input:x", *heavy(0.8, zeros=zeros))
    lossy = planted(context, "stem", {"losses": losses(input=sums(6.0))})
    (found,) = detect(lossy)
    assert (found.code, found.layers) == ("QD209", ("input:x",))
    figures = {e.name: e.value for e in found.sites[0].evidence}
    assert figures["values_below_step"] == pytest.approx(80.0, abs=0.5)
    assert figures["reader_sqnr"] == pytest.approx(6.0)
    assert codes(context) == [], "nobody misses them"


@pytest.mark.parametrize(
    ("share", "kurtosis", "loss"),
    [(0.4, 40.0, 6.0), (0.8, 3.0, 6.0), (0.8, 40.0, 25.0)],
    ids=["most is above", "no tail", "the reader hardly feels it"],
)
def test_inputs_with_values_enough_above_a_step(share: float, kurtosis: float, loss: float) -> None:
    context = planted(healthy(), "input:x", *heavy(share, kurtosis=kurtosis))
    assert codes(planted(context, "stem", {"losses": losses(input=sums(loss))})) == []


def test_a_reader_that_is_no_number_any_more_has_lost_everything() -> None:
    lost = replace(sums(60.0), simulated_nonfinite_count=3)
    context = planted(planted(healthy(), "input:x", *heavy(0.8)), "stem", {"losses": losses(input=lost)})
    found = next(f for f in detect(context) if f.code == "QD209")
    assert found.sites[0].evidence[2].value == -math.inf


def test_the_share_below_one_step_is_that_of_the_values() -> None:
    x = torch.randn(4, 3, 50, 50, generator=torch.Generator().manual_seed(0)) ** 5
    x[:, 0] = 0.0
    observer = TensorObserver(ObserverOptions(10_000))
    observer.update(x, image_count=4)
    low, high = float(x.min()), float(x.max())
    record = replace(healthy().measurement.record("sum"), range=observer.range(), quantizer=affine(low, high))
    others = x[x != 0].abs()
    expected = 100.0 * float((others < (high - low) / 255).double().mean())
    assert 10.0 < expected < 90.0
    assert below_step_percent(record) == pytest.approx(expected, abs=1.5)
    assert math.isnan(below_step_percent(replace(record, quantizer=None)))
    assert math.isnan(below_step_percent(replace(record, range=spread(0.0, 1.0))))


def log_of(below: float, function_db: float) -> DetectionContext:
    """The SiLU is a logarithm of the clamp before it, of whose values a share lies below one step."""
    context = planted(healthy(), "silu", {"kind": "log", "losses": losses(input=sums(function_db))})
    seen = replace(tail(below), kurtosis=4.0)
    # rounding leaves 12 dB of it: less than 10 dB more than what the logarithm has
    return planted(context, "relu", {"range": seen, "quantizer": affine(0.0, 255.0), "local": sums(12.0, 1.32)})


def test_a_logarithm_of_what_lies_below_one_step() -> None:
    """Nothing is lost beyond what rounding took already, which was most of it."""
    found = next(f for f in detect(log_of(0.7, 6.0)) if f.code == "QD207")
    assert found.layers[0] == "silu"
    figures = {e.name: e.value for e in found.sites[0].evidence}
    assert figures["lost_by_function"] < 10.0
    assert figures["values_below_step"] == pytest.approx(70.0, abs=0.5)


@pytest.mark.parametrize(("below", "function_db"), [(0.3, 6.0), (0.7, 25.0)])
def test_a_logarithm_that_loses_little(below: float, function_db: float) -> None:
    assert "QD207" not in codes(log_of(below, function_db))


UNITS = (60.0,) * 8 + (0.05,) * 8
"""Widths of channels: half of them have less than a step of a range of 60."""


def units(widths: tuple[float, ...] = UNITS, **fact: object) -> dict[str, object]:
    return {"channels": channel_ranges(widths)} | fact


def test_channels_of_an_output_in_other_units() -> None:
    wide = {"quantizer": affine(0.0, 60.0), "local": sums(50.0, 300.0)}
    (found,) = detect(planted(healthy(), "head", wide, units(outputs=("position",))))
    assert (found.code, found.layers) == ("QD210", ("head",))
    assert found.sites[0].channels == tuple(range(8, 16))
    spread_bits, narrowest = found.sites[0].evidence
    assert spread_bits.value == pytest.approx(math.log2(1200.0))
    expected = channel_ranges(UNITS).std[8] ** 2 * 12.0 / (60.0 / 255) ** 2
    assert narrowest.value == pytest.approx(10.0 * math.log10(expected))
    assert found.repairs[0] == "scale_output_channels"
    assert codes(planted(healthy(), "head", wide, units())) == [], "nobody is known to miss them"


def test_small_channels_that_the_next_layer_reads_as_well() -> None:
    wide = planted(healthy(), "sum", {"quantizer": affine(0.0, 60.0), "local": sums(50.0, 300.0)}, units())
    assert codes(wide) == []
    # the clamp that reads the sum has no weights of its own to make much of the small channels
    assert codes(planted(wide, "relu", {"losses": losses(input=sums(3.0))})) == []
    weighted = wide.measurement.record("head").weight
    read = planted(wide, "relu", {"losses": losses(input=sums(3.0)), "weight": weighted})
    found = next(f for f in detect(read) if f.code == "QD210")
    assert found.layers == ("sum",)
    figures = {e.name: e.value for e in found.sites[0].evidence}
    assert figures["reader_sqnr"] == pytest.approx(3.0)
    assert figures["lost_by_reader"] > 10.0
    assert "QD210" not in codes(planted(wide, "relu", {"losses": losses(input=sums(25.0)), "weight": weighted}))


@pytest.mark.parametrize(
    ("name", "record", "widths"),
    [
        ("head", {}, (60.0,) * 8 + (6.0,) * 8),
        ("head", {}, (60.0, *(0.0,) * 15)),
        ("head", {}, (60.0,) * 16 + (0.05,)),
        ("head", {"quantizer": affine(0.0, 60.0, bits=16)}, UNITS),
        ("joined", {}, UNITS),
        ("input:x", {}, UNITS),
    ],
    ids=["of one order", "constants", "one entry of a vector", "bits enough", "a concat", "an input"],
)
def test_outputs_whose_channels_have_steps_enough(
    name: str, record: dict[str, object], widths: tuple[float, ...]
) -> None:
    wide = {"quantizer": affine(0.0, 60.0), "local": sums(50.0, 300.0)} | record
    assert "QD210" not in codes(planted(healthy(), name, wide, units(widths, outputs=("output",))))


def test_few_wide_channels_keep_their_own_code() -> None:
    widths = tuple(60.0 if c == 4 else 0.05 for c in range(16))
    context = planted(healthy(), "head", {"quantizer": affine(0.0, 60.0)}, units(widths, outputs=("output",)))
    assert codes(context) == ["QD205"]
