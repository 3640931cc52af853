"""Some of the batches of a data set: how many, which, and what is measured on them."""

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import nn

import qdiag
from qdiag.batches import Batches
from qdiag.distributed.batch_sizes import batch_count, samples_before
from qdiag.loaders.data.sources import batches_from
from qdiag.simulate.case import on_some
from qdiag.simulate.passes.spread import SpreadBatches, some_of, spread_over
from tests.cases import open_test_case

IMAGES = torch.arange(200, dtype=torch.float32).view(100, 2)


@pytest.mark.parametrize(
    ("samples", "batches"), [(1, 1), (8, 1), (9, 2), (16, 2), (32, 4), (96, 12), (100, 13), (500, 13)]
)
def test_as_few_batches_as_hold_the_samples(samples: int, batches: int) -> None:
    assert len(spread_over(batches_from(IMAGES, 8), samples)) == batches


def test_they_lie_all_over_the_data_and_half_of_them_are_among_all() -> None:
    data = batches_from(IMAGES, 4)
    assert sorted(spread_over(data, 16)) == [0, 6, 12, 18]
    for samples in (4, 8, 16, 32):
        assert spread_over(data, samples) <= spread_over(data, 2 * samples)


def test_they_are_the_stored_batches_and_samples_keep_their_names() -> None:
    data = batches_from(IMAGES, 8)
    some = SpreadBatches(data, 20)
    whole, found = list(data), list(some)
    assert [int(batch.args[0][0, 0]) for batch in found] == [int(whole[i].args[0][0, 0]) for i in (0, 4, 8)]
    assert some.sample_count == sum(batch.sample_count for batch in found) == 24
    assert some.name(0) == data.name(0) and some.name(9) == data.name(33)
    assert some.digest() != data.digest() != SpreadBatches(data, 40).digest()


def uneven(*sizes: int) -> Batches:
    """Batches as a loader makes them, whose samples are their numbers."""
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return batches_from([IMAGES[start : start + size] for start, size in zip(starts, sizes, strict=True)])


@example([1, 1, 1, 2], 2)
@given(st.lists(st.integers(1, 9), min_size=2, max_size=11), st.integers(1, 60))
def test_of_batches_of_many_sizes_as_many_are_taken_as_hold_the_samples(sizes: list[int], samples: int) -> None:
    data = uneven(*sizes)
    chosen = spread_over(data, samples)
    held = sum(sizes[number] for number in chosen)
    assert held >= samples or len(chosen) == len(sizes)
    if any(size < max(sizes) for size in sizes[:-1]):
        assert spread_over(data, max(samples // 2, 1)) <= chosen
    some = SpreadBatches(data, samples)
    found = [int(sample[0]) // 2 for batch in some for sample in batch.args[0]]
    assert some.sample_count == held == len(found)
    assert [some.name(i) for i in range(held)] == [data.name(number) for number in found]
    assert (some_of(data, samples) is data) == (len(chosen) == len(sizes))
    assert batch_count(some) == len(chosen) == len(list(some))
    assert [samples_before(data, i) for i in range(len(sizes) + 1)] == [sum(sizes[:i]) for i in range(len(sizes) + 1)]


def test_what_is_told_of_batches_of_many_sizes_is_what_was_measured() -> None:
    """A hundred batches of one sample and one of fifty: three batches would hold all samples if all were as large."""
    deep = nn.Sequential(nn.Linear(2, 400), nn.ReLU(), nn.Linear(400, 2)).eval()
    data = [torch.randn(size, 2, generator=torch.Generator().manual_seed(size)) for size in (1,) * 100 + (50,)]
    found = qdiag.measure(deep, data, task="none")
    counts = {record.local.count // record.output_shape[0] for record in found.records if record.on_fewer is None}
    assert counts == {found.layer_sample_count} and 32 <= (found.layer_sample_count or 0) < 150


def test_a_case_on_some_is_the_case_itself_where_these_are_all() -> None:
    case = open_test_case(nn.Linear(2, 3).eval(), batches_from(IMAGES, 8))
    assert on_some(case, 100) is case
    assert on_some(case, 32).measured.sample_count == 32


@pytest.fixture(scope="module")
def deep() -> nn.Module:
    torch.manual_seed(0)
    layers = [layer for _ in range(13) for layer in (nn.Linear(160, 160), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(160, 4)).eval()


@pytest.mark.parametrize("is_exhaustive", [False, True])
def test_losses_and_layers_say_on_how_many_they_were_measured(deep: nn.Module, is_exhaustive: bool) -> None:
    samples = torch.randn(192, 160, generator=torch.Generator().manual_seed(1))
    found = qdiag.diagnose(
        deep, batches_from(samples, 16), scheme="int8", with_sensitivity=True, with_bits=True, exhaustive=is_exhaustive
    )
    sweep = found.sensitivity
    assert sweep is not None
    losses = [record.losses for record in found.measurement.records if record.losses is not None]
    *of_most, of_last = [one.sample_count for one in losses]
    assert set(of_most) == {192 if is_exhaustive else 32} and of_last == 192
    assert losses[0].input.count == (192 if is_exhaustive else 32) * 160
    measured = {row.alone.task.sample_count for row in sweep.rows if row.alone is not None}
    assert found.ranking.harm.verdict == "healthy" and len(sweep.rows) == 15
    assert (sweep.estimated_count, measured) == ((0, {192}) if is_exhaustive else (3, {32}))
    assert sweep.estimate_sample_count == (192 if is_exhaustive else 16)
    assert {point.score.task.sample_count for point in found.bits if point.bits != 8} == {192 if is_exhaustive else 64}
    assert ("other widths were measured on 64 of 192 samples" in found.notes) == (not is_exhaustive)
    apart = "outputs, the task and 1 layer with few values (26) on all of them"
    few = f"layers were measured on 64 of 192 samples; {apart}"
    seen = found.measurement
    assert seen.layer_sample_count == (None if is_exhaustive else 64) and (few in seen.notes) == (not is_exhaustive)
    count = 192 if is_exhaustive else 64
    *of_most, of_last = [record.propagated.count for record in seen.records]
    assert set(of_most) == {160 * count} and of_last == 4 * 192
    whole = qdiag.measure(deep, batches_from(samples, 16), scheme="int8")
    assert [one.error for one in seen.outputs] == [one.error for one in whole.outputs] and seen.task == whole.task
    widths = [point.bits for point in found.bits]
    assert widths == ([4, 5, 6, 7, 8, 10, 12, 16] if is_exhaustive else [4, 5, 6, 7, 8])
    assert all(row.fisher == row.fisher for row in sweep.rows)


@pytest.mark.parametrize(("width", "is_exhaustive", "count"), [(320, False, 32), (320, True, 64), (160, False, 64)])
def test_sqnr_measures_layers_on_as_many_as_their_figures_need(width: int, is_exhaustive: bool, count: int) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(width, 320), nn.ReLU(), nn.Linear(320, 400)).eval()
    samples = torch.randn(64, width, generator=torch.Generator().manual_seed(1))
    found = qdiag.measure(net, batches_from(samples, 8), scheme="int8", exhaustive=is_exhaustive)
    few = f"layers were measured on {count} of 64 samples, outputs and the task on all of them"
    is_some = count < 64
    assert found.layer_sample_count == (count if is_some else None) and (few in found.notes) == is_some
    assert [record.local.count for record in found.records] == [width * count, 320 * count, 400 * count]
    chosen = torch.cat([part for i, part in enumerate(samples.split(8)) if i % (64 // count) == 0])
    assert chosen.shape == (count, width)
    reference = net(chosen).detach().double()
    assert found.records[-1].propagated.reference_sq_sum == pytest.approx(float((reference**2).sum()), rel=1e-5)
    assert found.outputs[0].error.count == 64 * 400
    everything = net(samples).detach().double()
    assert found.outputs[0].error.reference_sq_sum == pytest.approx(float((everything**2).sum()), rel=1e-5)
