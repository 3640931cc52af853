"""Bias correction against numpy, and what it leaves alone."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from qdiag.config import load_preset, load_scheme
from qdiag.core.causes.findings import FindingSite
from qdiag.core.progress import NoProgress
from qdiag.errors import RepairRefused
from qdiag.repairs.base import RepairContext
from qdiag.repairs.weights.correct_bias import CORRECT_BIAS, _run_shifts, mean_shifts
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_scheme, with_tensors
from qdiag.simulate.passes.lanes import LOCAL, SIMULATED
from qdiag.simulate.passes.observer import LayerObserver
from qdiag.simulate.passes.paired import paired_lanes
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.passes.weights import simulated_weights
from qdiag.simulate.session import Session
from tests.cases import SESSION, assert_untouched, open_test_case, output_error, output_sqnr_db, snapshot
from tests.models import KINDS


def coarse(bias: str = "int32", activation_bits: int = 8) -> object:
    """Three bits for the weights: their rounding is what there is to correct."""
    scheme = load_preset("tf-uint8")
    weights, activations = (
        dataclasses.replace(scheme.weights, bits=3),
        dataclasses.replace(scheme.activations, bits=activation_bits),
    )
    return dataclasses.replace(scheme, weights=weights, activations=activations, bias=bias)


def images(seed: int) -> Tensor:
    return torch.rand(8, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def network() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            *(nn.Conv2d(3, 6, 3, bias=False), nn.ReLU(), nn.Conv2d(6, 4, 3, groups=2), nn.ReLU6()),
            *(nn.Flatten(), nn.Linear(64, 5)),
        ).eval()


def opened(scheme: object) -> Case:
    return open_test_case(network(), images(1), scheme)  # type: ignore[arg-type]


def test_the_shift_is_the_mean_of_the_weight_error_times_the_quantized_input() -> None:
    case = opened(coarse())
    shifts = mean_shifts(SESSION, case, ["5"])
    assert set(shifts) == {"5"}
    net, plan = network(), case.plan
    with torch.no_grad():
        x = net[:5](images(1))
    source, weights = plan.layers[case.network.graph.layer("5").inputs[0]].output, plan.layers["5"].weight
    assert source is not None
    assert weights is not None
    quantized = source.fake_quantize(x).numpy().astype(np.float64)
    weight = net[5].weight.detach()
    error = weights.fake_quantize(weight).numpy().astype(np.float64) - weight.numpy()
    assert np.abs(error).max() > 1e-3
    assert np.allclose(shifts["5"].numpy(), (quantized @ error.T).mean(0), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("bias", ["float", "int32"])
def test_the_mean_error_of_the_output_goes_and_decibels_come_back(bias: str) -> None:
    case = opened(coarse(bias))
    before = snapshot(case)
    done = CORRECT_BIAS.apply(case, (), RepairContext())
    assert_untouched(case, before)
    assert (done.layers, done.moves_float) == (("0", "2", "5"), False)
    assert done.case.network is case.network
    assert output_sqnr_db(done.case) > output_sqnr_db(case) + 1.0


def test_a_checkpoint_takes_the_shift_in_the_bias_that_the_layer_has() -> None:
    case = opened(coarse("int32"))
    done = CORRECT_BIAS.apply(case, (), RepairContext())
    assert set(done.tensors) == {"2.bias", "5.bias"}, "layer 0 has no bias that could hold it"
    for name, value in done.tensors.items():
        shift = done.case.plan.layers[name.removesuffix(".bias")].bias_shift
        assert shift is not None and torch.equal(value, case.tensors[name] + shift)


def test_with_a_folded_batchnorm_it_is_beta_that_takes_it() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU()).eval()
    norm = net[1]
    assert isinstance(norm, nn.BatchNorm2d)
    with torch.no_grad():
        norm.running_var.copy_(torch.rand(6) + 0.5)  # type: ignore[union-attr]
        norm.weight.copy_(torch.rand(6) + 0.5)
    scheme = load_scheme("tf-uint8", ("weights.bits=3", "bias=float"))
    case = open_test_case(net, torch.randn(16, 3, 8, 8), scheme)
    done = CORRECT_BIAS.apply(case, (), RepairContext())
    assert set(done.tensors) == {"1.bias"}
    written = with_tensors(SESSION, case, done.tensors, recalibrate=False)
    # the folded bias of the written network is that of the corrected plan
    layer = case.network.graph.layer("0")
    corrected = simulated_weights(done.case.network, done.case.plan, layer).bias
    found = simulated_weights(written.network, written.plan, layer).bias
    assert corrected is not None and found is not None
    assert torch.allclose(found, corrected, atol=1e-6)


@pytest.mark.parametrize("name", ["0", "2", "5"])
def test_a_layer_by_itself_has_no_mean_error_left(name: str) -> None:
    """Alone, on the data it was corrected on, with the output and the bias in float: what is left has mean zero."""
    case = opened(coarse("float", activation_bits=16))
    done = CORRECT_BIAS.apply(case, [FindingSite(name)], RepairContext())
    assert done.layers == (name,)

    class Probe(LayerObserver):
        def __init__(self) -> None:
            self.means: dict[str, Tensor] = {}

        def before(self, layer, node, args, kwargs) -> None:  # type: ignore[no-untyped-def]
            if layer.name != name:
                return
            own = runner.weights[name][SIMULATED]
            weight, bias = case.network.program.constants[layer.weight], layer.bias
            x, rest = args[0].tensors[LOCAL], args[3:]
            exact = node.target(x, weight, case.network.program.constants[bias] if bias else None, *rest)
            error = node.target(x, own.weight, own.bias, *rest) - exact
            self.means[name] = error.movedim(1, 0).flatten(1).mean(1)

    means = {}
    for which, one in (("before", case), ("after", done.case)):
        probe = Probe()
        runner = LaneRunner(paired_lanes(one.network, one.plan), [probe])
        for batch in case.calibration:
            runner.run_batch(batch)
        means[which] = float(probe.means[name].abs().max())
    assert means["before"] > 1e-3
    assert means["after"] < 1e-5


def test_an_integer_bias_rounds_the_correction_too() -> None:
    case = opened(coarse())
    done = CORRECT_BIAS.apply(case, [FindingSite("5")], RepairContext())
    layer = case.network.graph.layer("5")
    source, weight = case.plan.layers[layer.inputs[0]].output, case.plan.layers["5"].weight
    assert source is not None
    assert weight is not None
    bias = LaneRunner(paired_lanes(done.case.network, done.case.plan)).weights["5"][SIMULATED].bias
    assert bias is not None
    steps = bias.double() / (source.scale.double() * weight.scale.double())
    assert torch.allclose(steps, steps.round(), atol=1e-3)


def test_twice_is_once() -> None:
    case = opened(coarse())
    once = CORRECT_BIAS.apply(case, (), RepairContext())
    twice = CORRECT_BIAS.apply(once.case, (), RepairContext())
    assert output_error(twice.case) == output_error(once.case)


def test_layers_without_a_quantized_weight_are_refused() -> None:
    case = opened(dataclasses.replace(coarse(), float_layers=("5",)))  # type: ignore[type-var]
    with pytest.raises(RepairRefused, match="no weight is quantized there"):
        CORRECT_BIAS.apply(case, [FindingSite("5")], RepairContext())


@pytest.mark.parametrize("name", ["unet_transposed", "vit_sdpa", "se_sigmoid", "signals", "linear_bn"])
def test_every_kind_of_layer(name: str) -> None:
    kind = KINDS[name]
    case = open_test_case(kind.build(), kind.inputs(4, 1)[0][0], coarse())  # type: ignore[arg-type]
    done = CORRECT_BIAS.apply(case, (), RepairContext())
    for layer in case.network.graph.layers:
        if case.plan.layers[layer.name].weight is not None:
            shift = done.case.plan.layers[layer.name].bias_shift
            assert shift is not None
            assert layer.bias is None or shift.shape == case.network.program.constants[layer.bias].shape
    assert output_sqnr_db(done.case) > output_sqnr_db(case) - 1.0


class Passes(NoProgress):
    """Names of the passes in their order."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def start(self, stage: str, total: int | None) -> None:
        self.names.append(stage)


def test_one_pass_sees_what_all_layers_read_and_gives_what_running_each_sample_gives() -> None:
    case, progress = opened(coarse()), Passes()
    session = Session(progress=progress)
    everywhere = mean_shifts(session, case, ["0", "2", "5"])
    apart = _run_shifts(case, case.calibration, ["0", "2", "5"], NoProgress())
    assert set(everywhere) == set(apart) == {"0", "2", "5"}
    for name, shift in apart.items():
        assert torch.allclose(everywhere[name], shift, rtol=1e-4, atol=1e-6)
    again = CORRECT_BIAS.apply(case, [FindingSite("2")], RepairContext(session=session)).case
    mean_shifts(session, again, ["5"])
    assert progress.names == ["mean inputs"], "neither weights nor biases of the plan move what the float network reads"


def test_a_network_is_observed_once_for_each_scheme() -> None:
    case, progress = opened(coarse()), Passes()
    session = Session(progress=progress)
    first = session.observe(case.network, case.calibration, case.scheme)
    assert session.observe(case.network, case.calibration, case.scheme) is first
    closer = dataclasses.replace(
        case.scheme, activations=dataclasses.replace(case.scheme.activations, calibrator="mse")
    )
    with_scheme(session, case, closer)
    with_scheme(session, case, closer)
    assert progress.names == ["calibrate", "calibrate"]
