"""Quantizers are chosen once for each thing they are chosen for, and are the ones that a plan of its own has."""

import threading
import time
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from qdiag.calibrators.base import RangeCalibrator
from qdiag.config import load_preset, load_scheme
from qdiag.core.scheme import TensorScheme
from qdiag.errors import CalibrationError
from qdiag.numerics.quantizers.base import Quantizer
from qdiag.simulate.calibrations import Calibrations
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_scheme, with_tensors
from qdiag.simulate.plan_builder import build_plan
from tests.cases import SESSION, changed_layers, open_test_case
from tests.models import KINDS


@pytest.fixture(scope="module")
def case() -> Case:
    kind = KINDS["depthwise_separable"]
    (x, *_), _ = kind.inputs(batch=4, seed=0)
    return open_test_case(
        kind.build(), x, load_scheme("int8", ["activations.calibrator=mse", "weights.calibrator=mse"])
    )


def test_another_plan_chooses_only_what_changed(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(RangeCalibrator, "activation", lambda self, seen, scheme: asked.append(seen))
    monkeypatch.setattr(RangeCalibrator, "weight", lambda self, weight, scheme, axis: asked.append(weight))
    first = next(layer for layer in case.network.graph.layers if layer.weight is not None)
    with_scheme(SESSION, case, replace(case.scheme, float_layers=(first.name,)))
    assert asked == []
    with_tensors(SESSION, case, {first.weight_name: case.tensors[first.weight_name] * 2.0}, recalibrate=False)
    assert len(asked) == 1


def test_plans_are_what_they_are_without(case: Case) -> None:
    name = next(n for n, t in case.tensors.items() if t.ndim == 4)
    for changed in (
        with_scheme(SESSION, case, load_preset("tf-uint8")),
        with_tensors(
            SESSION, case, {name: case.tensors[name] * torch.linspace(0.5, 2.0, 3).view(1, 3, 1, 1)}, recalibrate=True
        ),
    ):
        alone = build_plan(changed.network, changed.observations, changed.scheme)
        assert not changed_layers(changed, replace(changed, plan=alone))


def test_nothing_is_kept_of_what_is_gone() -> None:
    found, scheme = Calibrations(), load_preset("int8").weights
    for scale in range(1, 50):
        weight = torch.full((4, 3), float(scale))
        assert float(found.weight(weight, scheme, 0).scale.max()) == pytest.approx(scale / 127.0, rel=0.01)
        del weight


def test_searches_in_threads_find_what_one_after_another_finds(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = set[str]()
    own = RangeCalibrator.weight

    def seen(self: RangeCalibrator, weight: Tensor, scheme: TensorScheme, channel_axis: int) -> Quantizer:
        threads.add(threading.current_thread().name)
        time.sleep(0.01)
        return own(self, weight, scheme, channel_axis)

    alone = build_plan(case.network, case.observations, case.scheme)
    monkeypatch.setattr(RangeCalibrator, "weight", seen)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        beside = build_plan(case.network, case.observations, case.scheme)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert len(threads) == 2
    assert not changed_layers(replace(case, plan=alone), replace(case, plan=beside))


def test_a_weight_that_cannot_be_quantized_is_told_by_its_layer(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever thread met it first."""
    layer = [one for one in case.network.graph.layers if one.weight is not None][-1]
    broken = case.network.program.constants[layer.weight or ""]
    own = RangeCalibrator.weight

    def refused(self: RangeCalibrator, weight: Tensor, scheme: TensorScheme, channel_axis: int) -> Quantizer:
        if weight is broken:
            raise CalibrationError("a weight is not finite")
        return own(self, weight, scheme, channel_axis)

    monkeypatch.setattr(RangeCalibrator, "weight", refused)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(CalibrationError, match="not finite") as caught:
            build_plan(case.network, case.observations, case.scheme)
    finally:
        torch.set_num_threads(before)
    assert caught.value.at == f"{layer.name}, {layer.weight_name}"
