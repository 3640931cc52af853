"""QD401 to QD406: each planted fault gives its own code and nothing else; its healthy twin gives nothing."""

from dataclasses import replace
from typing import Any

import pytest

from qdiag.detectors import DetectionContext, detect
from tests.contexts import affine, codes, healthy, planted, spread, sums


def with_range(context: DetectionContext, name: str, low: float, high: float, **more: Any) -> DetectionContext:
    """The layer with another range, calibrated and measured, and the quantizer that fits it."""
    seen = spread(low, high)
    return planted(context, name, {"range": seen, "quantizer": affine(low, high), **more}, {"measured_range": seen})


def test_a_concat_that_rounds_one_input_away() -> None:
    boxes = with_range(healthy(), "stem", 0.0, 675.0)
    (found,) = detect(with_range(boxes, "joined", 0.0, 675.0))
    assert found.code == "QD401"
    assert found.layers == ("joined",)
    assert found.sites[0].evidence[0].value == pytest.approx(675 / 6)
    assert found.sites[0].evidence[1].value == pytest.approx(6 / (675 / 255))
    assert found.sites[0].evidence[1].threshold == 16.0


def test_a_concat_of_like_inputs_and_of_zeros() -> None:
    assert codes(with_range(with_range(healthy(), "stem", 0.0, 40.0), "joined", 0.0, 40.0)) == []
    nothing = planted(healthy(), "stem", {"range": spread(0.0, 0.0), "local": sums(-float("inf"))}, {})
    assert "QD401" not in codes(nothing)


def test_a_concat_with_bits_to_spare() -> None:
    boxes = with_range(healthy(), "stem", 0.0, 675.0)
    assert codes(with_range(boxes, "joined", 0.0, 675.0, quantizer=affine(0.0, 675.0, bits=16))) == []


def test_an_add_that_buries_one_input() -> None:
    context = with_range(with_range(healthy(), "stem", 0.0, 300.0), "sum", 0.0, 300.0, local=sums(20.0))
    (found,) = detect(context)
    assert found.code == "QD402"
    assert found.layers == ("sum",)
    assert found.sites[0].evidence[0].value == pytest.approx(50.0)


def test_an_add_whose_wide_input_hides_what_the_narrow_one_loses() -> None:
    context = with_range(with_range(healthy(), "stem", 0.0, 3000.0), "sum", 0.0, 3000.0)
    assert codes(context) == ["QD402"]


def test_an_add_that_loses_nothing_and_one_of_like_inputs() -> None:
    assert codes(with_range(with_range(healthy(), "stem", 0.0, 300.0), "sum", 0.0, 300.0)) == []
    assert codes(with_range(with_range(healthy(), "stem", 0.0, 30.0), "sum", 0.0, 30.0, local=sums(20.0))) == []


def test_a_relu_that_reads_a_wider_range() -> None:
    context = with_range(healthy(), "sum", -50.0, 6.0)
    (found,) = detect(planted(context, "relu", {"local": sums(22.0)}))
    assert found.code == "QD403"
    assert set(found.layers) == {"sum", "relu"}
    assert found.sites[0].evidence[0].value == pytest.approx(56 / 6)


def test_a_relu_that_reads_what_is_as_wide_below_zero() -> None:
    assert codes(planted(with_range(healthy(), "sum", -6.0, 6.0), "relu", {"local": sums(22.0)})) == []
    assert codes(with_range(healthy(), "sum", -50.0, 6.0)) == []


def test_a_relu_that_reads_a_shared_quantizer() -> None:
    shared = replace(affine(-50.0, 6.0), shared_with="stem")
    context = planted(with_range(healthy(), "sum", -50.0, 6.0), "sum", {"quantizer": shared})
    assert codes(planted(context, "relu", {"local": sums(22.0)})) == []


COARSE_GATE = {"local": sums(21.0)}


def test_a_gate_that_limits_its_product() -> None:
    context = planted(planted(healthy(), "gate", COARSE_GATE), "scaled", {"local": sums(22.0)})
    (found,) = detect(context)
    assert found.code == "QD404"
    assert found.layers == ("gate",)
    assert (found.sites[0].evidence[0].value, found.sites[0].evidence[0].threshold) == (pytest.approx(21.0), 28.0)
    assert found.repairs == ("activations_16bit", "keep_float")


def test_a_hard_sigmoid_is_a_gate_too() -> None:
    context = planted(healthy(), "gate", {**COARSE_GATE, "kind": "hardsigmoid"})
    assert codes(planted(context, "scaled", {"local": sums(22.0)})) == ["QD404"]


@pytest.mark.parametrize(
    ("name", "change"),
    [("pool", {"kind": "conv"}), ("scaled", {"inputs": ("gate", "stem")}), ("scaled", {"local": sums(36.0)})],
    ids=["not pooled", "another trunk", "nothing lost"],
)
def test_what_is_no_gate(name: str, change: dict[str, Any]) -> None:
    context = planted(planted(healthy(), "gate", COARSE_GATE), "scaled", {"local": sums(22.0)})
    assert codes(planted(context, name, change)) == []


@pytest.mark.parametrize(("name", "code"), [("stem", "QD405"), ("head", "QD406")])
def test_the_layer_at_an_end_is_by_far_the_weakest(name: str, code: str) -> None:
    (found,) = detect(planted(healthy(), name, {"local": sums(12.0)}))
    assert found.code == code
    assert found.layers == (name,)
    assert (found.sites[0].evidence[0].value, found.sites[0].evidence[0].threshold) == (pytest.approx(24.0), 6.0)
    assert found.repairs[0] == "keep_float"


@pytest.mark.parametrize("name", ["stem", "head"])
def test_the_layer_at_an_end_is_weak_among_weak_ones(name: str) -> None:
    context = planted(healthy(), "body", {"local": sums(15.0)})
    assert codes(planted(context, name, {"local": sums(12.0)})) == []
    assert codes(planted(healthy(), name, {"local": sums(26.0)})) == []
