"""Ranges of torch.ao's fake quantizers: which are used, which are not and why, and how the table says so."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.ao.nn import qat

import qdiag
from qdiag.capture.fake_quantizers.stored import StoredQuantizer
from qdiag.config import load_preset
from qdiag.core.scheme import LayerOverride, QuantScheme, TensorChange, TensorScheme
from qdiag.errors import LoadError
from qdiag.loaders.models.state_dict import load_weights
from qdiag.pipeline.preparation.stored_ranges import with_stored_ranges
from qdiag.reading.words.layers import override_lines
from qdiag.reading.words.stored_ranges import stored_range_lines
from tests.networks.torch_ao import IMAGES, prepared, qconfig

INT8 = load_preset("int8")
WEIGHT = StoredQuantizer(
    *("c.weight_fake_quant", "weight", "c", (0.5, 0.25), (0.0, 0.0), 0, -128, 127, True, False),
)
OUTPUT = StoredQuantizer("c.activation_post_process", "output", "c", (0.5,), (3.0,), -1, 0, 255, True, False)


def test_ranges_that_give_scale_and_zero_point_again() -> None:
    scheme, rows = with_stored_ranges(INT8, (WEIGHT, OUTPUT))
    assert [row.outcome for row in rows] == ["used", "used"]
    assert scheme.weights_of("c").channel_ranges == ((-63.75, 63.75), (-31.875, 31.875))
    assert scheme.activations_of("c").range == (-1.5, 126.0)
    assert scheme.activations_of("d").range is None


@pytest.mark.parametrize(
    ("scheme", "outcomes"),
    [
        (replace(INT8, layers=(LayerOverride("*", TensorChange(calibrator="mse")),)), ["given by the scheme", "used"]),
        (replace(INT8, activations=replace(INT8.activations, range=(0.0, 1.0))), ["used", "given by the scheme"]),
        (INT8.only("weights"), ["used", "not quantized"]),
        (load_preset("fp8-e4m3"), ["other format", "other format"]),
        (replace(INT8, weights=TensorScheme(granularity="per_group", group_size=4)), ["other granularity", "used"]),
    ],
)
def test_what_the_scheme_says_goes_first(scheme: QuantScheme, outcomes: list[str]) -> None:
    after, rows = with_stored_ranges(scheme, (WEIGHT, OUTPUT))
    assert [row.outcome for row in rows] == outcomes
    for row in rows:
        of_layer = QuantScheme.weights_of if row.kind == "weight" else QuantScheme.activations_of
        assert (of_layer(after, "c") != of_layer(scheme, "c")) == (row.outcome == "used")


def test_ranges_that_have_no_place_or_no_numbers() -> None:
    odd = (
        replace(WEIGHT, is_folded=True),
        replace(WEIGHT, needs_folded=True),
        replace(WEIGHT, is_folded=True, needs_folded=True),
        replace(OUTPUT, scales=(), zero_points=()),
        replace(OUTPUT, kind=None, layer=None),
    )
    _, rows = with_stored_ranges(INT8, odd)
    assert [row.outcome for row in rows] == ["folding", "folding", "used", "no range", "no place"]


def test_one_scale_for_a_weight_takes_the_widest_channel() -> None:
    scheme, _ = with_stored_ranges(replace(INT8, weights=TensorScheme()), (WEIGHT,))
    assert scheme.weights_of("c").range == (-63.75, 63.75)


def test_a_state_dict_goes_into_a_network_that_is_prepared_alike() -> None:
    """Whose scales have one number before anything was observed, and are one for each channel in the file."""
    _, trained = prepared()
    _, fresh = prepared(seen=False)
    load_weights(fresh, trained.state_dict(), at="qat.pth", arch="net.py:qat")
    assert all(torch.equal(fresh.state_dict()[name], value) for name, value in trained.state_dict().items())
    state = {**trained.state_dict(), "fc.weight": torch.zeros(5, 7)}
    with pytest.raises(LoadError, match=r"1 other shape \(fc\.weight is 5x7 in the file"):
        load_weights(fresh, state, at="qat.pth", arch="net.py:qat")


def test_what_was_not_folded_in_training_has_no_range_for_the_folded_weight() -> None:
    layer = qat.Conv2d(3, 4, 3, qconfig=qconfig("per_channel"))  # which knows nothing of the BatchNorm after it
    layer(IMAGES[:1])
    model = nn.Sequential(layer, nn.BatchNorm2d(4)).eval()
    rows = qdiag.measure(model, IMAGES).capture.stored_ranges
    assert [(row.module, row.outcome) for row in rows if row.kind == "weight"] == [("0.weight_fake_quant", "folding")]


def test_other_integers_are_told_and_the_range_stays() -> None:
    _, trained = prepared(activation_max=127)
    result = qdiag.measure(trained, IMAGES)
    record = result.record("conv1").quantizer
    assert record is not None
    scale = float(trained.conv1.activation_post_process.scale)  # type: ignore[union-attr,arg-type]
    assert record.scale == pytest.approx(scale * 127 / 255)
    lines = stored_range_lines(result.capture.stored_ranges)
    assert lines[0] == "9 fake quantizers of the network give the ranges: 4 of weights, 5 of outputs"
    assert lines[1].startswith(
        "5 have other integers than the scheme, first quant.activation_post_process with [0, 127]"
    )
    assert override_lines(result.scheme) == ("input:x, conv1, conv2, conv3 and 1 more: a given range for each",)


@pytest.mark.parametrize(("count", "is_shown"), [(4, True), (5, False)])
def test_the_ranges_of_many_channels_are_not_listed(count: int, is_shown: bool) -> None:
    change = TensorChange(granularity=None, channel_ranges=((-1.0, 1.0),) * count)
    (line,) = override_lines(replace(INT8, layers=(LayerOverride("c", change),)))
    assert (line != "c: a given range for each") == is_shown


def test_ranges_beside_other_changes_are_short_too() -> None:
    weights = TensorChange(narrow_range=True, channel_ranges=((-1.0, 1.0),) * 5)
    changed = LayerOverride("c", weights, TensorChange(range=(-0.3333333333333, 2.0)))
    assert override_lines(replace(INT8, layers=(changed,))) == (
        "c: weights.narrow_range true, weights.channel_ranges of 5 channels, activations.range -0.333333 to 2",
    )


def test_another_calibrator_takes_a_range_away() -> None:
    scheme, _ = with_stored_ranges(INT8, (WEIGHT, OUTPUT))
    change = TensorChange(calibrator="mse")
    scheme = replace(scheme, layers=(*scheme.layers, LayerOverride("c", change, change)))
    assert scheme.weights_of("c").channel_ranges is None
    assert scheme.activations_of("c").range is None


def test_the_networks_without_fake_quantizers_say_nothing() -> None:
    plain, _ = prepared(seen=False)
    assert stored_range_lines(qdiag.measure(plain, IMAGES).capture.stored_ranges) == ()
