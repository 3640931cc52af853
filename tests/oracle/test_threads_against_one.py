"""Threads that take the batches by turns find what one thread finds: batches stay whole, as with several processes."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from qdiag.simulate.passes.batchwise import run_batches as module
from qdiag.simulate.passes.batchwise import threads
from qdiag.simulate.passes.batchwise.heads import Heads
from qdiag.simulate.passes.lanes import Lane
from qdiag.simulate.passes.observer import LayerObserver
from qdiag.simulate.passes.paired import ErrorObserver
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.task.tasks import TaskSink
from qdiag.simulate.task.user import MetricRequest, user_task
from tests.cases import open_test_case
from tests.oracle.conftest import write_inputs
from tests.oracle.test_measured_by_two import COMMANDS, content, differences, printed


def written(name: str, folder: Path) -> tuple[tuple[int, str, str], dict[str, Any]]:
    """What a command prints in a new folder, and what it writes there."""
    folder.mkdir()
    write_inputs(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        said = printed([*COMMANDS[name], "--no-cache"])
    words = COMMANDS[name]
    return said, {word: content(folder / word) for word in words if word.endswith(("json", ".csv")) and word[0] != "-"}


@pytest.mark.parametrize("name", COMMANDS)
def test_threads_find_what_one_finds(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = written(name, tmp_path / "one")
    used: list[int] = []

    def three(runner: LaneRunner, heads: Heads, batches: Any) -> int:
        if not (runner.fits_threads and heads.fits_threads):
            return 1
        used.append(-(-batches.sample_count // batches.batch_size))
        return 3

    monkeypatch.setattr(module, "thread_count", three)
    several = written(name, tmp_path / "several")
    assert one[0][0] == 0 and several[0] == one[0]
    assert one[1].keys() == several[1].keys() and len(one[1]) > 0
    assert [found for file in one[1] for found in differences(one[1][file], several[1][file], file)] == []
    assert used and (name == "one sample" or max(used) > 2)


@torch.library.custom_op("threads::twice", mutates_args=())
def twice(x: Tensor) -> Tensor:
    """An operation that torch does not bring."""
    return 2.0 * x


@twice.register_fake
def _(x: Tensor) -> Tensor:
    return torch.empty_like(x)


class Foreign(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = twice(torch.relu(x))
        return found


class Plain(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x)


class Watching(LayerObserver):
    """Nobody can put two of them together."""


def count_of(net: nn.Module, images: Tensor, observers: list[LayerObserver] | None = None, *, own: bool = False) -> int:
    """Threads for a pass with four of torch's; `own`: judged by the user's own code."""
    case, before = open_test_case(net, images), torch.get_num_threads()
    tasks = case.tasks
    if own:
        tasks = copy.copy(tasks)
        object.__setattr__(tasks, "criteria", (user_task(MetricRequest(lambda outputs, _: outputs.mean())),))
    runner = LaneRunner([Lane(case.network), Lane(case.network, case.plan)], observers or [ErrorObserver(case.plan)])
    heads = Heads(runner.observers, (), {1: [TaskSink(tasks)]}, runner.effort)
    torch.set_num_threads(4)
    try:
        return threads.thread_count(runner, heads, case.measured)
    finally:
        torch.set_num_threads(before)


def test_one_thread_where_several_would_not_be_safe() -> None:
    """One batch, an operation of somebody else, the user's own code, and what cannot be put together."""
    many, few = torch.randn(64, 5), torch.randn(3, 5)
    assert count_of(Plain(), many) == 2
    assert count_of(Plain(), few) == 1
    assert count_of(Foreign(), many) == 1
    assert count_of(Plain(), many, [Watching()]) == 1
    assert count_of(Plain(), many, own=True) == 1
