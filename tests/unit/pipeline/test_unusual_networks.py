"""Unusual networks: each is measured as what its own module computes, or refused with the reason."""

import copy
import random
import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

import qdiag
from qdiag.batches import Batch
from qdiag.capture.program import Program, Runner
from qdiag.core.measures.measurement import CaptureInfo, Measurement
from qdiag.errors import CaptureError
from qdiag.pipeline.preparation.prepare import prepare
from qdiag.simulate.passes.lanes import REFERENCE, Lane, pick
from qdiag.simulate.passes.network import Network
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.session import Session
from qdiag.subject import Subject
from tests.networks import unusual

MEASURED = (
    *("ItemOfTensor", "ShapeBranch", "WritesItsInput", "WritesThroughViews", "CountsCalls", "WritesItsWeights"),
    *("KeepsShape", "AutocastInside", "AutocastOffInside", "NoGradInside", "Conditional", "Vmapped", "Asserts"),
    *("ItemChecked", "KeywordInputs", "DictOutput", "NestedOutput", "TiedWeights", "ComplexNumbers", "ComplexOutput"),
    *("DoublePart", "StrideZero", "SharedTwice", "Hooked", "Normed", "OldWeightNorm", "Checkpointed", "CallsTrain"),
    *("SoftmaxOverBatch", "BatchStatistics", "DataDependentShape", "FrozenBatch", "Lazy", "Lookups", "Einsum"),
    *("Unfolded", "ListState", "ScriptedPart", "RareBranch", "Bag"),
)
REFUSED = {
    "ValueBranch": r"if x\.mean\(\) > 0\.0: \(converting a tensor to a Python boolean\)",
    "IntOfTensor": r"unusual\.py:\d+: shift = int.*Python integer",
    "FloatOfTensor": r"unusual\.py:\d+: .*Python float",
    "DataDependentLoop": r"while y\.abs\(\)\.max\(\) > 0\.5: \(converting a tensor to a Python boolean\)",
    "NumpyInside": r"unusual\.py:\d+: .*NumPy array",
    "BatchSizeBranch": r"for a batch of 12: .*captured with 2.*another batch size",
    "SizeOneBranch": r"for one sample: .*another batch size",
    "PythonRandom": r"(?m)network is random: .*random numbers$",
    "NumpyRandom": r"(?m)network is random: .*random numbers$",
    "TorchRandom": r"random numbers: randn_like \(unusual\.py:\d+\)",
    "DropoutLeftOn": r"random numbers: dropout \(unusual\.py:\d+\)",
    "CarriesState": r"depends on the calls before, which changes state",
}


def build(name: str) -> nn.Module:
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # weight norm as a hook and scripting are deprecated, and in use
        torch.manual_seed(0)
        network: nn.Module = getattr(unusual, name)()
        return network.eval()


def inputs(name: str, count: int, seed: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(count, *shape, generator=generator)

    match name:
        case "TiedWeights" | "Lazy":
            return (normal(12),), {}
        case "Bag":
            return (torch.randint(0, 20, (count, 6), generator=generator),), {}
        case "Lookups":
            tokens = torch.randint(0, 20, (count, 6), generator=generator)
            return (), {"tokens": tokens, "lengths": torch.randint(1, 7, (count,), generator=generator)}
        case "KeywordInputs":
            return (), {"image": normal(3, 8, 8), "gate": normal(8).sigmoid()}
    return (normal(3, 8, 8),), {}


def batches(name: str) -> list[Batch]:
    return [Batch(*inputs(name, 12, seed)) for seed in (1, 2)]


def own_outputs(network: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """What a fresh copy of the module gives for copies of the inputs."""
    args, kwargs = pytree.tree_map_only(Tensor, torch.clone, (args, kwargs))
    with torch.no_grad():
        return [x for x in pytree.tree_leaves(network(*args, **kwargs)) if isinstance(x, Tensor)]


def test_every_network_is_in_one_of_the_lists() -> None:
    found = {n for n, c in vars(unusual).items() if isinstance(c, type) and issubclass(c, unusual.nn.Module)}
    assert found - {"Base"} == {*MEASURED, *REFUSED}
    assert len(found) > 45


@dataclass(frozen=True)
class Measured:
    """A network that was measured, as it is afterwards.

    Attributes:
        module, data: as given. captured: the network that was run. batch_size: the only one that it holds for.
        state, attributes, values: of the module, as they were before. given: the data as they were.
        generators: of random numbers, before and afterwards.
    """

    module: nn.Module
    data: list[Batch]
    result: Measurement
    captured: Network
    batch_size: int | None
    state: dict[str, Tensor]
    attributes: dict[str, dict[str, Any]]
    values: list[list[Any]]
    given: list[Batch]
    generators: tuple[list[Any], list[Any]]


@cache
def measured(name: str) -> Measured:
    """Captured and measured once for the tests of both."""
    module, data = build(name), batches(name)
    state, attributes = copy.deepcopy(module.state_dict()), {k: dict(m.__dict__) for k, m in module.named_modules()}
    values = [copy.deepcopy(list(m.__dict__.values())) for m in module.modules() if name == "CountsCalls"]
    given, captures = copy.deepcopy(data), []

    def kept(*arguments: Any, **more: Any) -> tuple[Program, Network, CaptureInfo]:
        captures.append(prepare(*arguments, **more))
        return captures[-1]

    before = _generators()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("qdiag.pipeline.begin.prepare", kept)
        result = qdiag.measure(module, data)
    after = _generators()
    ((_, captured, info),) = captures
    seen = (state, attributes, values, given, (before, after))
    return Measured(module, data, result, captured, info.batch_size, *seen)


def _generators() -> list[Any]:
    """The states of torch's, Python's and NumPy's."""
    return [torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()]  # noqa: NPY002


@pytest.mark.parametrize("name", MEASURED)
def test_the_measured_network_is_the_users(name: str) -> None:
    """The program, and the float reference of the passes, against a module built anew, on samples not seen before."""
    found = measured(name)
    run, fixed = Runner(found.captured.program), found.batch_size
    for count in (fixed,) if fixed else (1, 3, 12, 17):
        args, kwargs = inputs(name, count, 10 + count)
        if name == "BatchStatistics" and count == 1:
            continue
        expected = own_outputs(build(name), args, kwargs)
        with torch.no_grad():
            actual = run(args, kwargs)
        passed = pick(LaneRunner([Lane(found.captured)]).run_batch(Batch(args, kwargs)), REFERENCE)
        assert len(actual) == len(passed) == len(expected) >= 1
        for a, b, c in zip(expected, actual, passed, strict=True):
            assert a.dtype == b.dtype == c.dtype
            for own in (b, c):
                torch.testing.assert_close(own, a, rtol=1e-3, atol=1e-5 if name != "AutocastInside" else 1e-2)


@pytest.mark.parametrize("name", MEASURED)
def test_it_is_measured_and_left_as_it_was(name: str) -> None:
    found = measured(name)
    network, outputs = found.module, found.result.outputs
    assert outputs
    assert all(output.error.signal_power > 0.0 for output in outputs)
    assert all(10.0 < output.error.sqnr_db < 80.0 for output in outputs)
    assert all(torch.equal(value, found.state[key]) for key, value in network.state_dict().items())
    for path, module in network.named_modules():
        assert module.__dict__.keys() == found.attributes[path].keys()
        assert all(module.__dict__[key] is value for key, value in found.attributes[path].items())
    assert found.values == [] or [len(v) for v in network.history] == []  # type: ignore[union-attr, arg-type]
    for one, other in zip(found.data, found.given, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one.tensors, other.tensors, strict=True))
    before, after = found.generators
    assert before == after


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_with_the_reason(name: str) -> None:
    network = build(name)
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(CaptureError, match=REFUSED[name]) as caught:
        qdiag.measure(network, batches(name))
    assert caught.value.hint
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_what_is_true_at_small_batches_is_measured_there() -> None:
    data = [batch for count in (2, 2, 3) for batch in [torch.randn(count, 3, 8, 8)]]
    assert qdiag.measure(build("BatchSizeBranch"), data).outputs[0].error.sqnr_db > 20.0


def test_a_rare_value_among_the_data_is_found() -> None:
    """The tracer warned, so every batch is compared: the one sample far out is in the last."""
    data = [torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(i)) for i in range(6)]
    result = qdiag.measure(build("RareBranch"), data)
    assert result.capture.checked_sample_count == 2 + 48 + 6 * 3
    assert any("if x.amax() > 100.0" in doubt for doubt in result.capture.doubts)
    data[-1][-1, 0, 0, 0] = 1000.0
    with pytest.raises(CaptureError, match=r"if x\.amax\(\) > 100\.0"):
        qdiag.measure(build("RareBranch"), data)


@pytest.mark.parametrize("name", ["SoftmaxOverBatch", "BatchStatistics", "CallsTrain"])
def test_what_depends_on_the_batch_is_told(name: str) -> None:
    capture = qdiag.measure(build(name), batches(name)).capture
    assert capture.depends_on_batch
    assert capture.trained_modules == (("BatchNorm2d",) if name == "CallsTrain" else ())


def test_ordinary_networks_are_told_nothing() -> None:
    capture = qdiag.measure(build("SharedTwice"), batches("SharedTwice")).capture
    assert not capture.depends_on_batch
    assert not capture.trained_modules
    assert capture.batch_size is None
    assert capture.checked_batch_sizes == (1, 2, 12)
    assert capture.checked_sample_count == 2 + 12 + 3


def test_a_graph_frozen_at_a_batch_size_is_measured_there() -> None:
    result = qdiag.measure(build("FrozenBatch"), [torch.randn(5, 3, 8, 8), torch.randn(4, 3, 8, 8)])
    assert result.capture.batch_size == result.data.batch_size == 2
    assert result.data.measured_count == 8
    assert any("1 sample was left over: the network takes batches of exactly 2" in note for note in result.notes)


@pytest.mark.parametrize("before", [1, 2, 48])
def test_a_shape_that_was_kept_from_an_earlier_call(before: int) -> None:
    """A module that has run already holds the shape of that call, and the grid that belongs to it."""
    network = build("KeepsShape")
    with torch.no_grad():
        network(torch.randn(before, 3, 8, 8))
    kept = network.shape
    result = qdiag.measure(network, batches("KeepsShape"))
    expected = qdiag.measure(build("KeepsShape"), batches("KeepsShape"))
    if before == 2:  # that of the example: the grid is a constant then, and the graph holds for two samples
        assert result.capture.batch_size == result.data.batch_size == 2
    else:
        assert result.capture.batch_size is None
        assert result.outputs[0].error.sqnr_db == pytest.approx(expected.outputs[0].error.sqnr_db, abs=0.01)
    power = expected.outputs[0].error.signal_power
    assert result.outputs[0].error.signal_power == pytest.approx(power, rel=1e-5)
    assert result.data.measured_count == 24
    assert network.shape is kept


def test_drawn_inputs_leave_the_network_as_it_was() -> None:
    from qdiag.pipeline.preparation.synthesize import synthesize_datasets

    network = build("CountsCalls")
    subject = Subject(network, "module", "CountsCalls", "CountsCalls")
    synthesize_datasets(Session(), subject, (1, 3, 8, 8), samples=4)
    assert int(network.calls) == 0  # type: ignore[arg-type]
    assert network.history == []
    assert network.last is None
