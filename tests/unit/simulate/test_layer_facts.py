"""Facts per layer against numpy written separately, and by hand."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from qdiag.core.measures.facts import LayerFacts
from qdiag.core.progress import NoProgress
from qdiag.core.scheme import QuantScheme, TensorScheme
from qdiag.loaders.data.sources import batches_from
from qdiag.simulate.case import Case
from qdiag.simulate.facts.layer import gather_facts
from qdiag.simulate.facts.mac_observer import MacObserver
from qdiag.simulate.facts.observer import FactObserver
from qdiag.simulate.facts.weight import weight_facts
from qdiag.simulate.passes.batchwise.run_batches import run_batches
from qdiag.simulate.passes.observer import LayerObserver
from qdiag.simulate.passes.paired import ErrorObserver, paired_lanes
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.surroundings import engine_arithmetic
from qdiag.simulate.sweeps.losses import LossObserver
from tests.cases import open_test_case
from tests.models import KINDS

UINT8 = TensorScheme(symmetric=False, signed=False)
INT8 = TensorScheme(narrow_range=True)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 6, 3, padding=1, stride=2)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.up = nn.ConvTranspose2d(6, 4, 2, stride=2)
        self.fc = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(4.0 * self.conv(x))
        x = self.up(F.relu(self.depthwise(x)))
        return self.fc(x.mean((2, 3))) @ torch.ones(5, 3)


class Single(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 6, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu6(self.conv(x))


def images(count: int, seed: int, gain: float = 1.0) -> Tensor:
    return gain * torch.rand(count, 4, 10, 10, generator=torch.Generator().manual_seed(seed))


def single(gain: float = 1.0) -> Single:
    torch.manual_seed(0)
    model = Single().eval()
    with torch.no_grad():
        model.conv.weight *= gain
    return model


def run(case: Case, *observers: LayerObserver) -> None:
    with engine_arithmetic():
        runner = LaneRunner(paired_lanes(case.network, case.plan), observers)
        run_batches(runner, case.measured, NoProgress(), stage="simulate")


def facts(case: Case) -> Mapping[str, LayerFacts]:
    observer, macs = FactObserver(), MacObserver()
    run(case, macs, observer)
    return {found.layer: found for found in gather_facts(case, observer.facts(), macs.counts(), {})}


@pytest.fixture
def net() -> Case:
    torch.manual_seed(0)
    return open_test_case(Net().eval(), images(8, 1), "int8")


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("axis", [0, 1])
def test_weight_facts_agree_with_numpy(bits: int, axis: int) -> None:
    torch.manual_seed(3)
    weight = torch.randn(6, 5, 3, 3) * torch.linspace(0.1, 3.0, 6).view(6, 1, 1, 1)
    weight.movedim(axis, 0)[2] = 0.0
    found = weight_facts(weight, axis, TensorScheme(bits=bits))
    rows = np.moveaxis(weight.double().numpy(), axis, 0).reshape(weight.shape[axis], -1)
    top = 2 ** (bits - 1) - 1

    def median_db(scales: np.ndarray) -> float:
        simulated = np.rint(rows / scales) * scales
        live = np.abs(rows).max(1) > 0
        return float(np.median(10 * np.log10((rows**2).sum(1)[live] / ((rows - simulated) ** 2).sum(1)[live])))

    assert found.sqnr_per_tensor_db == pytest.approx(median_db(np.abs(rows).max() / top * np.ones((1, 1))), abs=0.01)
    largest = np.abs(rows).max(1, keepdims=True)
    assert found.sqnr_per_channel_db == pytest.approx(median_db(np.where(largest > 0, largest, 1) / top), abs=0.01)
    spread = rows - rows.mean()
    assert found.kurtosis == pytest.approx((spread**4).mean() / (spread**2).mean() ** 2)
    alone = rows - rows.mean(1, keepdims=True)
    with np.errstate(invalid="ignore"):
        assert found.channel_kurtosis_max == pytest.approx(np.nanmax((alone**4).mean(1) / (alone**2).mean(1) ** 2))
    assert found.channel_max_abs == pytest.approx(np.abs(rows).max(1))
    assert found.outlier_count == (np.abs(rows) > 0.5 * np.abs(rows).max()).sum()
    assert found.count == rows.size


def test_a_float_weight_has_ranges_but_no_sqnr() -> None:
    found = weight_facts(torch.tensor([[1.0, -2.0], [0.5, 0.5]]), 0, None)
    assert math.isnan(found.sqnr_per_tensor_db)
    assert math.isnan(found.sqnr_per_channel_db)
    assert (found.channel_min, found.channel_max) == ((-2.0, 0.5), (1.0, 0.5))


def test_the_bias_as_its_integer() -> None:
    model = single()
    with torch.no_grad():
        model.conv.bias[3] = -1e7
    case = open_test_case(model, images(4, 1), QuantScheme(weights=INT8, activations=UINT8))
    found = facts(case)["conv"].bias
    plan = case.plan.layers
    assert found is not None
    source, weight, output = plan["input:x"].output, plan["conv"].weight, plan["conv"].output
    assert source is not None and weight is not None and output is not None
    step = float(source.scale) * float(weight.scale)
    assert found.bits == 32
    assert found.integer_max_abs == pytest.approx(1e7 / step, rel=1e-6)
    assert found.overflow_channels == ((3,) if 1e7 / step > 2**31 else ())
    assert found.overflow_channels == (3,), "the planted overflow must exist"
    assert found.step_over_scale == pytest.approx(step / float(output.scale))


@pytest.mark.parametrize("change", [{"bias": "float"}, {"activations": TensorScheme(bits=32)}])
def test_a_bias_that_stays_in_float_has_no_facts(change: Mapping[str, object]) -> None:
    scheme = replace(QuantScheme(weights=INT8, activations=UINT8), **change)  # type: ignore[arg-type]
    assert facts(open_test_case(single(), images(4, 1), scheme))["conv"].bias is None


def test_multiplications_by_hand(net: Case) -> None:
    found = facts(net)
    assert found["conv"].mac_count == 5 * 5 * 6 * 4 * 9
    assert found["depthwise"].mac_count == 5 * 5 * 6 * 9
    assert found["up"].mac_count == 5 * 5 * 6 * 4 * 4
    assert found["fc"].mac_count == 4 * 5
    assert found["matmul"].mac_count == 5 * 3
    assert found["input:x"].mac_count == 0


def test_layers_know_their_readers_and_their_clamps(net: Case) -> None:
    found = facts(net)
    assert found["conv"].consumers == ("mul",)
    assert found["depthwise"].groups == 6
    assert found["depthwise"].clamp == (0.0, math.inf)
    assert found["mul"].clamp == (0.0, 6.0)
    assert found["mul"].weight is None
    assert math.isnan(found["depthwise"].saturated_at_bound_fraction)
    assert math.isnan(found["mul"].mean_shift_fraction)


def test_layers_know_the_outputs_that_hold_their_values() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk, self.head = nn.Linear(4, 6), nn.Linear(6, 3)

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            y = self.trunk(x).relu()
            return {"moved": y[:, :4].reshape(-1, 2, 2), "scores": self.head(y).sigmoid()}

    found = facts(open_test_case(Two().eval(), torch.randn(8, 4), "int8"))
    assert found["trunk"].outputs == ("moved",)
    assert found["sigmoid"].outputs == ("scores",)
    assert found["head"].outputs == found["input:x"].outputs == ()


def test_rows_follow_the_records(net: Case) -> None:
    observer, errors = FactObserver(), ErrorObserver(net.plan)
    run(net, observer, errors)
    assert [f.layer for f in gather_facts(net, observer.facts(), {}, {})] == list(errors.errors())


def test_share_at_the_bound_and_the_range_of_measured_data() -> None:
    model, measured = single(gain=20.0), images(6, 2, gain=3.0)
    case = open_test_case(model, images(6, 1), "int8", measured=measured)
    found = facts(case)["conv"]
    with torch.no_grad():
        before = model.conv(measured)
    assert found.saturated_at_bound_fraction == pytest.approx(float((before >= 6).double().mean()), abs=1e-4)
    assert 0.05 < found.saturated_at_bound_fraction < 0.95
    assert found.measured_range is not None and found.channels is not None
    assert found.measured_range.count == before.numel()
    assert found.measured_range.max == 6.0
    source = facts(case)["input:x"].measured_range
    assert source is not None
    assert source.max == pytest.approx(float(measured.max()))
    assert max(facts(case)["input:x"].channels.max) < 1.0  # type: ignore[union-attr]


@pytest.mark.parametrize("batch_size", [2, 5])
def test_errors_per_channel(batch_size: int) -> None:
    model, measured = single(), images(10, 2)
    three = TensorScheme(bits=3, narrow_range=True)
    case = open_test_case(model, images(10, 1), QuantScheme(weights=three, activations=UINT8, bias="float"))
    found = facts(replace(case, measured=batches_from(measured, batch_size)))["conv"]
    plan = case.plan.layers
    w, b = model.conv.weight.detach(), model.conv.bias.detach()
    scale = plan["conv"].weight.scale  # type: ignore[union-attr]
    source = plan["input:x"].output
    assert source is not None
    x = ((measured / source.scale).round() + source.zero_point).clamp(0, 255).sub(source.zero_point) * source.scale
    local = F.conv2d(x, (w / scale).round().clamp(-3, 3) * scale, b, padding=1)
    error = (local - F.conv2d(measured, w, b, padding=1)).double().numpy()
    constant = error.mean((0, 2, 3), keepdims=True)
    expected = 1 - ((error - constant) ** 2).sum() / (error**2).sum()
    assert expected > 0.2, "three bits must shift some channel"
    assert found.mean_shift_fraction == pytest.approx(expected, rel=1e-3)
    kept = F.relu6(F.conv2d(measured, w, b, padding=1)).double().numpy()
    noise = ((F.relu6(local).double().numpy() - kept) ** 2).sum((0, 2, 3))
    channels_db = 10 * np.log10((kept**2).sum((0, 2, 3)) / noise)
    assert found.channel_sqnr_db_median == pytest.approx(np.median(channels_db), abs=0.01)


def test_observers_see_the_same_pass_alone_and_together(net: Case) -> None:
    losses, plain, other = LossObserver(net.network, net.plan), ErrorObserver(net.plan), ErrorObserver(net.plan)
    run(net, plain)
    run(net, losses, FactObserver(), other)
    assert plain.errors() == other.errors()
    assert "conv" in losses.records()


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_network_gives_finite_facts(name: str) -> None:
    kind = KINDS[name]
    (args, kwargs) = kind.inputs(2, 0)
    if kwargs or len(args) != 1 or not isinstance(args[0], Tensor):
        pytest.skip("several inputs: the same layers as in the others")
    model = kind.build()
    for found in facts(open_test_case(model, args[0], "int8")).values():
        assert found.measured_range is None or found.measured_range.count > 0
        assert (found.weight is None) == math.isnan(found.mean_shift_fraction)
        if found.weight is not None:
            assert found.mac_count >= found.weight.count
            assert 0.0 <= found.mean_shift_fraction <= 1.0


@pytest.mark.parametrize(("shape", "groups"), [((6, 6, 3, 3), 1), ((6, 3, 3, 3), 2), ((6, 1, 5), 6), ((4, 4, 1, 1), 1)])
def test_weights_where_an_identity_is_fused_are_told_from_the_others(shape: tuple[int, ...], groups: int) -> None:
    weight = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    found = weight_facts(weight, 0, None, groups)
    rows = np.abs(weight.numpy())
    centre = tuple(size // 2 for size in shape[2:])
    identity = [rows[(c, c % shape[1], *centre)] for c in range(shape[0])]
    others = []
    for c in range(shape[0]):
        row = rows[c].copy()
        row[(c % shape[1], *centre)] = -1.0
        others.append(row.max())
    assert found.identity_max_abs == pytest.approx(identity)
    assert found.others_max_abs == pytest.approx(others)


@pytest.mark.parametrize(
    ("shape", "groups"), [((6, 4, 3, 3), 1), ((4, 4, 2, 2), 1), ((4, 1, 1, 1), 4), ((4, 4, 3, 3), None)]
)
def test_a_weight_that_can_hold_no_identity_has_no_such_figures(shape: tuple[int, ...], groups: int | None) -> None:
    found = weight_facts(torch.ones(shape), 0, None, groups)
    assert (found.identity_max_abs, found.others_max_abs) == ((), ())
