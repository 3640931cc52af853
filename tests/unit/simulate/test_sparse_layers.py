"""Layers with few values are measured on all samples where others are on some, by the pass that runs the outputs."""

import math
from collections.abc import Collection
from dataclasses import replace
from itertools import cycle
from typing import Any

import pytest
import torch
from torch import nn

from qdiag.batches import Batch
from qdiag.config import load_preset
from qdiag.core.measures.facts import LayerFacts
from qdiag.core.scheme import RuntimeName
from qdiag.loaders.data.sources import batches_from
from qdiag.simulate.case import Case, on_some
from qdiag.simulate.facts.observer import FactObserver
from qdiag.simulate.layerwise.measure import Measured
from qdiag.simulate.layerwise.observers import PairedObservers
from qdiag.simulate.layerwise.samples import Depth, layer_samples, sparse_layers
from qdiag.simulate.passes.batchwise.kept_outputs import ReferenceOutputs
from qdiag.simulate.passes.lanes import REFERENCE, Lane
from qdiag.simulate.passes.paired import paired_lanes
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.session import Session
from tests.cases import open_test_case
from tests.models import KINDS
from tests.unit.simulate.test_one_wait_a_batch import as_on_a_gpu

COUNT = 144
SCHEMES: list[tuple[str, RuntimeName]] = [
    ("int8", "float"),
    ("int8", "ort"),
    ("int8", "tflite-ref"),
    ("int8", "fbgemm"),
    ("tf-uint8", "float"),
    ("w4a8", "float"),
]


class Classifier(nn.Module):
    """A clamped convolution with padding ahead of few values, and both a pooled and a flattened path to the head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU6(), nn.Conv2d(8, 8, 3, groups=8), nn.ReLU6())
        self.down = nn.Sequential(nn.Conv2d(8, 4, 4, stride=4), nn.ReLU6())
        self.pool, self.head = nn.AdaptiveAvgPool2d(1), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled: torch.Tensor = self.head(torch.flatten(self.pool(self.down(self.stem(x))), 1))
        return pooled


@pytest.fixture(scope="module", params=SCHEMES, ids="-".join)
def case(request: pytest.FixtureRequest) -> Case:
    name, arithmetic = request.param
    torch.manual_seed(0)
    net = Classifier().eval()
    images = torch.randn(COUNT, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    scheme = replace(load_preset(name), arithmetic=arithmetic)
    return open_test_case(net, batches_from(images, 16), scheme, measured=batches_from(images + 0.1, 16))


def of_layers(found: Measured) -> dict[str, tuple[object, ...]]:
    # pairs of products are added up on some samples in both
    facts: dict[str, LayerFacts] = {one.layer: one for one in found.facts}
    return {one.name: (replace(one, pairs=None, losses=None, on_fewer=None), facts[one.name]) for one in found.records}


def assert_errors_on_fewer(found: Measured, some: Measured, sparse: Collection[str]) -> None:
    """Layers with few values have those of the samples of the others too, and no other layer has them."""
    assert {one.name for one in found.records if one.on_fewer is not None} == {
        one.name for one in found.records if one.name in sparse
    }
    assert [one.compared for one in found.records] == [one.compared for one in some.records]


def measurements(case: Case) -> list[tuple[Case, Depth]]:
    """By default, on all samples, and on those that most layers need."""
    return [(case, "facts"), (case, "full facts"), (on_some(case, layer_samples(case, "facts")), "full facts")]


def test_their_figures_are_those_of_all_samples_and_others_those_of_some(case: Case) -> None:
    sparse, samples = sparse_layers(case, "facts"), layer_samples(case, "facts")
    assert samples == 64 and {"down.0", "pool", "head"} <= sparse and not {"stem.0", "stem.2"} & sparse
    found, whole, some = (Session().measure(one, depth) for one, depth in measurements(case))
    assert found.layer_sample_count == 64 and whole.layer_sample_count is None
    assert (found.outputs, found.task) == (whole.outputs, whole.task)
    assert found.mac_counts == whole.mac_counts
    own, of_all, of_some = of_layers(found), of_layers(whole), of_layers(some)
    assert own.keys() == of_all.keys()
    assert_errors_on_fewer(found, some, sparse)
    for name in own:
        assert repr(own[name]) == repr((of_all if name in sparse else of_some)[name])
    for one, other in zip(found.records, whole.records, strict=True):
        if one.name in sparse:
            assert one.losses == other.losses
            assert one.local.count == math.prod(one.output_shape) * COUNT


def test_a_convolution_that_nobody_looks_at_clamps_its_own_output(case: Case) -> None:
    """One that is looked at before its clamp leaves it to what closes the layer."""
    sparse, batch = sparse_layers(case, "facts"), next(iter(case.measured))
    observer = FactObserver()
    runner = LaneRunner(paired_lanes(case.network, case.plan, at=sparse), [observer])
    assert runner._clamping is not None
    inputs = case.network.program.flatten_inputs(batch.args, batch.kwargs)
    assert not runner._clamping.of_batch(inputs, [observer])
    observer.layers = sparse
    clamped = {runner._layers[node].name for node in runner._clamping.of_batch(inputs, [observer])}
    assert clamped == ({"stem.0", "stem.2"} if case.scheme.arithmetic == "float" else set())


def test_no_layer_is_sparse_where_all_samples_are_looked_at(case: Case) -> None:
    few = on_some(case, 64)
    for one, depth in ((case, "full facts"), (few, "facts"), (replace(few, scheme=case.scheme), "losses")):
        assert not sparse_layers(one, depth)  # type: ignore[arg-type]
    narrow = replace(case.plan, scheme=replace(case.scheme, accumulator_bits=16))
    assert not sparse_layers(replace(case, plan=narrow), "facts")


def test_layers_by_themselves_cost_nothing_where_none_is_looked_at(case: Case) -> None:
    """As many operations as in two lanes, and some more at the layers that are computed by themselves."""
    sparse, batch = sparse_layers(case, "facts"), next(iter(case.measured))

    def run(lanes: list[Lane]) -> tuple[int, list[torch.Tensor]]:
        runner = LaneRunner(lanes)
        (output,) = runner.run_batch(batch)
        return runner.computed_count, [output.tensors[lane] for lane in (REFERENCE, -1)]

    pair = [Lane(case.network), Lane(case.network, case.plan)]
    count, expected = run(pair)
    some, found = run(paired_lanes(case.network, case.plan, at=sparse))
    whole, also = run(paired_lanes(case.network, case.plan))
    assert count < some < whole
    assert all(torch.equal(x, y) and torch.equal(x, z) for x, y, z in zip(found, expected, also, strict=True))
    nothing, _ = run(paired_lanes(case.network, case.plan, at=frozenset()))
    assert nothing == count


@pytest.mark.parametrize(("kind", "scheme"), list(zip(KINDS, cycle(SCHEMES), strict=False)))
def test_every_kind_of_network_with_half_of_its_layers_sparse(
    kind: str, scheme: tuple[str, RuntimeName], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, arithmetic = scheme
    torch.manual_seed(0)
    own = KINDS[kind]
    calibration, *measured = [Batch(*own.inputs(batch=size, seed=size)) for size in (8, 4, 4, 4, 3)]
    settings = replace(load_preset(name), arithmetic=arithmetic)
    case = open_test_case(own.build().eval(), [calibration], settings, measured=measured)
    middle = sorted(math.prod(seen.shape) for seen in case.observations.values())[len(case.observations) // 2]
    monkeypatch.setattr("qdiag.simulate.layerwise.samples.LEAST_VALUES", 4 * middle)
    monkeypatch.setattr("qdiag.simulate.layerwise.samples._MOST", 4)
    monkeypatch.setattr("qdiag.simulate.layerwise.samples._LEAST", {"facts": 4})
    sparse = sparse_layers(case, "facts")
    found, whole, some = (Session().measure(one, depth) for one, depth in measurements(case))
    assert repr((found.outputs, found.task)) == repr((whole.outputs, whole.task))
    seen, of_all, of_some = of_layers(found), of_layers(whole), of_layers(some)
    assert_errors_on_fewer(found, some, sparse)
    assert {name: repr(row) for name, row in seen.items()} == {
        name: repr((of_all if name in sparse else of_some)[name]) for name in of_all
    }
    assert sparse or middle == min(math.prod(one.shape) for one in case.observations.values())


def test_no_sample_runs_twice_and_held_outputs_change_nothing(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = list[int]()
    run_batch = LaneRunner.run_batch

    def counted(self: LaneRunner, batch: Batch) -> tuple[Any, ...]:
        ran.append(batch.sample_count)
        return run_batch(self, batch)

    monkeypatch.setattr(LaneRunner, "run_batch", counted)
    found = Session().measure(case, "facts")
    assert sum(ran) == COUNT
    ran.clear()
    forgetful = Session(references=ReferenceOutputs(most_bytes=0), simulated=ReferenceOutputs(most_bytes=0))
    assert repr(forgetful.measure(case, "facts")) == repr(found)
    assert sum(ran) == COUNT + 64


def test_what_an_earlier_pass_left_is_no_reason_to_look_away(case: Case) -> None:
    """Outputs of all batches are held then, and layers with few values have still to be seen in each of them."""
    session = Session()
    found = session.measure(case, "facts")
    assert repr(session.measure(case, "facts")) == repr(found)
    scored = Session()
    scored.score([case], "score", keeps=True)
    assert of_layers(scored.measure(case, "facts")).keys() == of_layers(found).keys()
    assert repr(of_layers(scored.measure(case, "facts"))) == repr(of_layers(found))


def test_layers_whose_samples_are_on_another_axis_count_alike_whatever_the_batch_size() -> None:
    torch.manual_seed(0)
    own = KINDS["vit_multihead"]
    ((images,), _) = own.inputs(batch=8, seed=0)
    sparse = []
    for size in (1, 2, 8):
        data = batches_from(images, size)
        torch.manual_seed(0)
        case = open_test_case(own.build().eval(), data, measured=batches_from(images.repeat(40, 1, 1, 1), size))
        shapes = {name: seen.shape for name, seen in case.observations.items()}
        sparse.append(sparse_layers(case, "facts"))
    assert any(size in shape for shape in shapes.values()), "tokens come first somewhere, and samples second"
    assert sparse[0] == sparse[1] == sparse[2] != frozenset()


def test_a_gpu_gives_the_same_layers_on_the_same_samples(case: Case) -> None:
    found = Session().measure(case, "facts")
    with as_on_a_gpu():
        other = Session().measure(case, "facts")
    assert other.layer_sample_count == found.layer_sample_count
    assert other.mac_counts == found.mac_counts
    for one, same in zip(found.records, other.records, strict=True):
        assert same.local.count == one.local.count and same.clipped_count == one.clipped_count
        assert same.local.sqnr_db == pytest.approx(one.local.sqnr_db, abs=1e-3)
        assert same.compared.propagated.sqnr_db == pytest.approx(one.compared.propagated.sqnr_db, abs=1e-3)
        if one.losses is not None and same.losses is not None:
            assert same.losses.sample_count == one.losses.sample_count
            assert same.losses.requantization.sqnr_db == pytest.approx(one.losses.requantization.sqnr_db, abs=1e-3)
    for facts, like in zip(found.facts, other.facts, strict=True):
        assert (facts.measured_range is None) == (like.measured_range is None)
        if facts.measured_range is not None and like.measured_range is not None:
            assert like.measured_range.count == facts.measured_range.count
            assert (like.measured_range.min, like.measured_range.max) == (
                facts.measured_range.min,
                facts.measured_range.max,
            )


def test_two_threads_see_the_same(case: Case) -> None:
    found = Session().measure(case, "facts")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        other = Session().measure(case, "facts")
    finally:
        torch.set_num_threads(before)
    assert repr(other) == repr(found)


def test_every_value_counts_for_how_many_a_layer_has() -> None:
    """Rounded up where it decides how many samples are enough; NaN and Inf are values too."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(300, 156), nn.ReLU(), nn.Linear(156, 200)).eval()
    data = batches_from(torch.randn(200, 300, generator=torch.Generator().manual_seed(0)), 1)
    case = open_test_case(net, data)
    assert layer_samples(case, "facts") == 65 == math.ceil(10_000 / 156)
    seen = dict(case.observations)
    for name, one in seen.items():
        whole = one.statistics.range
        half = replace(whole, count=whole.count // 2, nonfinite_count=whole.count - whole.count // 2)
        seen[name] = replace(one, statistics=replace(one.statistics, range=half))
    assert layer_samples(replace(case, observations=seen), "facts") == 65


def test_every_observer_is_given_what_was_seen_later(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    own, later = (PairedObservers(case, "facts", {}) for _ in range(2))
    given = list[object]()
    for observer in own.all:
        monkeypatch.setattr(observer, "merge", given.append)
    own.merge(later)
    assert given == later.all and len(given) == 7
