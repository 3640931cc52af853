"""A pass on a GPU waits once a batch, and finds what a pass on a CPU finds.

Here a CPU is taken for a device that makes the processor wait, so that the same code runs.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import qdiag
from qdiag.batches import Batch
from qdiag.config import load_preset
from qdiag.numerics import waiting
from qdiag.numerics.channel_observer import ChannelObserver
from qdiag.numerics.error_accumulator import ErrorAccumulator
from qdiag.numerics.histogram import HistogramAccumulator
from qdiag.numerics.moments import MomentAccumulator
from qdiag.numerics.observer import ObserverOptions, TensorObserver
from tests.models import KINDS
from tests.unit.simulate.test_no_waiting import Asked


@contextmanager
def as_on_a_gpu() -> Iterator[None]:
    before = waiting._AT_HAND
    waiting._AT_HAND = frozenset()
    try:
        yield
    finally:
        waiting._AT_HAND = before


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", ["depthwise_separable", "residual", "vit_sdpa"])
def test_every_figure_is_that_of_a_cpu(name: str) -> None:
    data = [Batch(*KINDS[name].inputs(4, seed)) for seed in range(3)]
    cpu = qdiag.measure(KINDS[name].build(), data)
    with as_on_a_gpu():
        gpu = qdiag.measure(KINDS[name].build(), data)
    assert len(cpu.records) == len(gpu.records) > 3
    for a, b in zip(cpu.records, gpu.records, strict=True):
        assert (a.quantizer, a.name) == (b.quantizer, b.name)
        assert a.local.count == b.local.count
        assert b.local.sqnr_db == pytest.approx(a.local.sqnr_db, abs=1e-3)
        assert b.propagated.sqnr_db == pytest.approx(a.propagated.sqnr_db, abs=1e-3)
    assert gpu.task == cpu.task


class Divides(nn.Module):
    """Gives Inf where an image is all zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.last = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        size = x.abs().amax((1, 2, 3), keepdim=True)
        return self.last(self.conv(x)) / size  # type: ignore[no-any-return]


def test_a_batch_with_values_that_are_not_finite_is_collected_anew() -> None:
    torch.manual_seed(0)
    net = Divides().eval()
    batches = [drawn(4, 3, 8, 8, seed=seed) for seed in range(3)]
    batches[1][2] = 0.0
    cpu = qdiag.measure(net, batches, calibration=batches[:1], task="none")
    with as_on_a_gpu():
        gpu = qdiag.measure(net, batches, calibration=batches[:1], task="none")
    counts = [r.propagated.reference_nonfinite_count for r in cpu.records]
    assert sum(counts) > 0
    assert [r.propagated.reference_nonfinite_count for r in gpu.records] == counts
    assert [r.local.count for r in gpu.records] == [r.local.count for r in cpu.records]
    for a, b in zip(cpu.records, gpu.records, strict=True):
        assert b.local.error_sq_sum == pytest.approx(a.local.error_sq_sum, rel=1e-4)


def waits_of(batch_count: int, *, scheme: str = "int8") -> int:
    torch.manual_seed(0)
    net = nn.Sequential(*[nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU6()) for _ in range(4)]).eval()
    batches = [drawn(4, 3, 8, 8, seed=seed) for seed in range(batch_count)]
    with as_on_a_gpu(), Asked() as asked:
        qdiag.measure(net, batches, calibration=batches[:1], scheme=load_preset(scheme), task="none")
    return asked.count


def test_a_pass_waits_once_a_batch() -> None:
    """Whatever the number of layers. The other wait of a batch is on the CPU, where the images are looked at first."""
    assert waits_of(5) - waits_of(3) == 2 * (1 + 1)


@pytest.mark.parametrize("is_assumed", [True, False])
def test_sums_of_errors_are_those_of_float64(is_assumed: bool) -> None:
    reference, simulated = drawn(5000), drawn(5000, seed=1)
    accumulator = ErrorAccumulator()
    with as_on_a_gpu():
        if is_assumed:
            with waiting.assuming_finite() as checks:
                accumulator.add(reference=reference, simulated=[simulated])
            assert checks.hold()
        else:
            accumulator.add(reference=reference, simulated=[simulated])
    found, (r, s) = accumulator.sums()[0], (reference.double(), simulated.double())
    assert (found.count, found.reference_nonfinite_count, found.simulated_nonfinite_count) == (5000, 0, 0)
    assert found.reference_sq_sum == pytest.approx(float(r.square().sum()), rel=1e-6)
    assert found.error_sq_sum == pytest.approx(float((s - r).square().sum()), rel=1e-6)
    assert found.max_abs_error == pytest.approx(float((s - r).abs().max()), rel=1e-6)


@pytest.mark.parametrize("where", ["reference", "simulated"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_sums_that_hold_a_value_that_is_not_finite_are_noticed(where: str, value: float) -> None:
    pair = {"reference": drawn(50), "simulated": drawn(50, seed=1)}
    pair[where][7] = value
    with as_on_a_gpu(), waiting.assuming_finite() as checks:
        ErrorAccumulator().add(reference=pair["reference"], simulated=[pair["simulated"]])
    assert not checks.hold()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("axis", [None, 1])
def test_a_range_that_holds_a_value_that_is_not_finite_is_noticed(value: float, axis: int | None) -> None:
    x = drawn(4, 3, 5, 5)
    x[1, 2, 3, 4] = value
    observer = TensorObserver(ObserverOptions(channel_axis=axis, glance_at_channels=True))
    with as_on_a_gpu(), waiting.assuming_finite() as checks:
        observer.update(x, image_count=4)
    assert not checks.hold()


@pytest.mark.parametrize("is_assumed", [True, False])
@pytest.mark.parametrize("axis", [None, 1, 3])
def test_ranges_are_those_of_a_cpu(axis: int | None, is_assumed: bool) -> None:
    options = ObserverOptions(channel_axis=axis, glance_at_channels=True, averaging_constant=0.1)
    cpu, whole = TensorObserver(options), TensorObserver(options)
    for seed in range(70):  # more than are left apart
        x = drawn(2, 3, 17, 19, seed=seed) * (1.0 + seed)
        x[x < 0.3] = 0.0
        cpu.update(x, image_count=2)
        own = TensorObserver(options)
        with as_on_a_gpu():
            if is_assumed:
                with waiting.assuming_finite():
                    own.update(x, image_count=2)
            else:
                own.update(x, image_count=2)
            whole.merge(own)
    with as_on_a_gpu():
        a, b = cpu.range(), whole.range()
    assert a is not None and b is not None
    assert (b.count, b.sampled_count, b.min, b.max, b.histogram) == (
        a.count,
        a.sampled_count,
        a.min,
        a.max,
        a.histogram,
    )
    assert (b.mean, b.std, b.kurtosis) == pytest.approx((a.mean, a.std, a.kurtosis), rel=1e-12)
    assert b.zero_fraction == a.zero_fraction and b.percentiles == a.percentiles
    assert whole.moving_average == cpu.moving_average
    one, other = cpu.channels(), whole.channels()
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert (other.min, other.max, other.zero_fraction) == (one.min, one.max, one.zero_fraction)
        assert other.kurtosis == pytest.approx(one.kurtosis, rel=1e-12)


def test_channels_look_at_every_element_where_they_are_asked_to() -> None:
    cpu, gpu = ChannelObserver(1), ChannelObserver(1)
    for seed in range(3):
        x = drawn(2, 3, 5, 7, seed=seed) * (1 + seed)
        x[0, 1, 0, 0] = math.nan
        cpu.update(x)
        own = ChannelObserver(1)
        with as_on_a_gpu():
            own.update(x)
            gpu.merge(own)
    a, b = cpu.ranges(), gpu.ranges()
    assert a is not None and b is not None
    assert (a.min, a.max, a.percentiles, a.zero_fraction) == (b.min, b.max, b.percentiles, b.zero_fraction)
    assert b.std == pytest.approx(a.std, rel=1e-12)


@pytest.mark.parametrize("rows", [1, 4])
def test_a_histogram_that_is_left_apart_counts_the_same(rows: int) -> None:
    cpu, gpu = HistogramAccumulator(rows, 64), HistogramAccumulator(rows, 64)
    for seed in range(5):
        values = drawn(rows, 300, seed=seed) * 10.0 ** (seed % 3)
        cpu.add(values, values.abs().amax())
        with as_on_a_gpu():
            gpu.add(values, values.abs().amax())
    assert gpu.bin_width == cpu.bin_width
    assert torch.equal(gpu.counts, cpu.counts) and int(gpu.counts.sum()) == rows * 1500


def test_moments_of_values_that_are_not_finite_leave_these_out() -> None:
    values = drawn(2, 100)
    values[0, 3] = math.inf
    accumulators = MomentAccumulator(2), MomentAccumulator(2)
    accumulators[0].add(values, torch.isfinite(values))
    with as_on_a_gpu():
        accumulators[1].add(values, torch.isfinite(values))
    assert accumulators[0].count == accumulators[1].count == 199
    assert torch.allclose(accumulators[0].std(), accumulators[1].std(), rtol=1e-12)


class Started(TorchDispatchMode):
    """Counts operations, each of which has to be started on a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


def test_moments_of_batches_are_added_up_together() -> None:
    """What rounding loses is carried along, which takes several operations for each batch: not on a GPU."""
    whole, cpu = MomentAccumulator(), MomentAccumulator()
    with as_on_a_gpu():
        for seed in range(150):
            own = MomentAccumulator()
            own.add(drawn(1, 50, seed=seed) + 100.0)
            with Started() as started:
                whole.merge(own)
            assert (started.count > 0) == (seed in (64, 129)), "once for 65 batches"
    for seed in range(150):
        cpu.add(drawn(1, 50, seed=seed) + 100.0)
    assert whole.count == cpu.count == 150 * 50
    assert whole.of_one_row() == pytest.approx(cpu.of_one_row(), rel=1e-9)
