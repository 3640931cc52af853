"""Cases for tests: a module and its inputs, captured, calibrated and planned.

case = open_test_case(model, images, load_preset("int8"))
"""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from qdiag.batches import Batch, Batches, Datasets
from qdiag.capture.program import Program
from qdiag.config import load_preset
from qdiag.core.measures.error_sums import ErrorSums
from qdiag.core.measures.task import TaskKind
from qdiag.core.progress import NoProgress
from qdiag.core.scheme import QuantScheme
from qdiag.loaders.data.sources import batches_from
from qdiag.pipeline.preparation.check import Checked, check_program
from qdiag.pipeline.preparation.original import Original
from qdiag.pipeline.preparation.prepare import prepare
from qdiag.simulate.case import Case
from qdiag.simulate.passes.batchwise.run_batches import run_batches
from qdiag.simulate.passes.lanes import SIMULATED
from qdiag.simulate.passes.paired import paired_lanes
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.session import Session
from qdiag.simulate.surroundings import engine_arithmetic
from qdiag.simulate.task.choice.choose import TaskRequest, choose_tasks
from qdiag.simulate.task.choice.seen import what_is_seen
from qdiag.simulate.task.output_errors import OutputErrors
from qdiag.subject import Subject
from tests.exports import key_of

SESSION = Session()
"""On the CPU, silent, and keeping nothing."""


def open_test_case(
    model: nn.Module,
    batches: object,
    scheme: QuantScheme | str = "int8",
    *,
    measured: object | None = None,
    task: TaskKind | None = None,
) -> Case:
    """The untreated case of a module on the CPU.

    Args:
        batches: calibration data in any form that `qdiag.measure` takes; measured too when `measured` is None.
        scheme: a preset's name, or a scheme.
        task: what the network does, where labels and names do not say it.
    """
    scheme = load_preset(scheme) if isinstance(scheme, str) else scheme
    calibration = batches_from(batches)
    subject = Subject(model, "module", type(model).__name__, type(model).__name__)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("qdiag.pipeline.preparation.prepare.check_program", _checked_once)
        program, network, _ = prepare(subject, [calibration], fold=scheme.fold_batchnorm, device=SESSION.device)
    datasets = Datasets(calibration, calibration if measured is None else batches_from(measured), "the same")
    with engine_arithmetic():
        tasks = choose_tasks(TaskRequest(task), what_is_seen(network, datasets.evaluation))
        return SESSION.open_case(program, network, scheme, datasets, tasks)


_CHECKED: dict[bytes, Checked] = {}


def _checked_once(program: Program, original: Original, example: Batch, sources: Sequence[Batches]) -> Checked:
    """In place of `check_program`: a network that differs from an earlier one in its numbers alone has its graph.

    Each network of other modules, attributes or shapes is compared with its graph, as outside of tests.
    """
    key = key_of(original._module, example, dynamic=True)
    if key is None or key not in _CHECKED:
        found = check_program(program, original, example, sources)
        if key is not None:
            _CHECKED[key] = found
        return found
    known = _CHECKED[key]
    return replace(known, program=replace(program, batch_size=known.program.batch_size))


def output_error(case: Case) -> ErrorSums:
    """Error at the first output: the case's quantized network against its own float network, on the measured data."""
    outputs = OutputErrors(case.network.program.output_names)
    with engine_arithmetic():
        runner = LaneRunner(paired_lanes(case.network, case.plan))
        run_batches(runner, case.measured, NoProgress(), stage="simulate", sinks={SIMULATED: [outputs]})
    return outputs.records()[0].error


def output_sqnr_db(case: Case) -> float:
    """`output_error` in decibels."""
    return output_error(case).sqnr_db


def snapshot(case: Case) -> dict[str, Tensor]:
    """Copies of every tensor that a case holds: weights of both networks, and the numbers of all quantizers."""
    found = {f"program:{name}": value for name, value in case.program.constants.items()}
    found |= {f"network:{name}": value for name, value in case.network.program.constants.items()}
    found |= {f"origin:{name}": value for name, value in case.origin.program.constants.items()}
    for name, plan in case.plan.layers.items():
        for role, quantizer in (("output", plan.output), ("weight", plan.weight)):
            if quantizer is not None:
                numbers = {key: value for key, value in vars(quantizer).items() if isinstance(value, Tensor)}
                found |= {f"plan:{name}:{role}:{key}": value for key, value in numbers.items()}
        if plan.bias_shift is not None:
            found[f"plan:{name}:bias_shift"] = plan.bias_shift
    return {name: value.detach().clone() for name, value in found.items()}


def assert_untouched(case: Case, before: dict[str, Tensor]) -> None:
    """The case holds bit for bit what it held when `snapshot` was taken."""
    now = snapshot(case)
    assert now.keys() == before.keys()
    changed = [name for name, value in now.items() if not torch.equal(value, before[name])]
    assert not changed


def changed_layers(before: Case, after: Case) -> set[str]:
    """Layers whose quantizers, bias or reason to stay in float differ between two cases of one network."""
    old, new = snapshot(before), snapshot(after)
    names: set[str] = set()
    for name, plan in after.plan.layers.items():
        other = before.plan.layers[name]
        if (plan.float_reason, plan.bias, plan.shared_with) != (other.float_reason, other.bias, other.shared_with):
            names.add(name)
        keys = {key for key in (*old, *new) if key.startswith(f"plan:{name}:")}
        if any(key not in old or key not in new or not torch.equal(old[key], new[key]) for key in keys):
            names.add(name)
    return names


def assert_seen_as_in_a_pass(case: Case) -> None:
    """The ranges of a treated case, which no pass gave, are those that a pass gives."""
    observed = SESSION.observe(case.network, case.calibration, case.scheme)
    assert observed.keys() == case.observations.keys()
    for name, seen in observed.items():
        told, range_, own = case.observations[name], seen.statistics.range, seen.channels
        close, channels = pytest.approx((range_.min, range_.max), abs=1e-5 * range_.max_abs), told.channels
        assert told.statistics.range.count == range_.count
        assert (told.statistics.range.min, told.statistics.range.max) == close
        assert (channels is None) is (own is None)
        if channels is not None and own is not None:
            assert channels.min == pytest.approx(own.min, abs=1e-5 * range_.max_abs)
            assert channels.max == pytest.approx(own.max, abs=1e-5 * range_.max_abs)
