"""What is added up for every variant and batch stays on the device: nothing is asked back before the last batch.

A GPU that is asked for a number has to finish everything before it, so a pass may not ask once per layer or variant.
"""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from qdiag.batches import Batch
from qdiag.core.graph import Layer
from qdiag.simulate.passes.lanes import Lanes
from qdiag.simulate.sweeps.fisher import _SquaredErrors
from qdiag.simulate.task.classes import Agreement, Logits
from qdiag.simulate.task.masks import Positions, PositionShare
from qdiag.simulate.task.numbers import Cosine
from qdiag.simulate.task.scoring import Scoreboard
from qdiag.simulate.task.tasks import ReferenceTallies, Tasks

ASKED = (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default, torch.ops.aten.equal.default)
"""Operations whose answer the host waits for."""


class Asked(TorchDispatchMode):
    """Counts what the host is told."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func in ASKED
        return func(*args, **(kwargs or {}))


def test_a_number_that_is_read_is_counted() -> None:
    with Asked() as asked:
        assert float(torch.ones(3).sum()) == 3.0 and bool(torch.ones(()).isfinite())
    assert asked.count == 2


def outputs(seed: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(6, 5, generator=generator), torch.randn(6, 3, 4, 4, generator=generator)


@pytest.mark.parametrize(
    "task", [Agreement(Logits(0, 5)), Cosine(0), PositionShare(Positions(1, 1, 3), is_against_float=True)]
)
def test_a_scoreboard_asks_for_nothing_until_its_end(task: Any) -> None:
    tasks = Tasks((task,))
    board = Scoreboard(("logits", "map"), (), tasks, ReferenceTallies(tasks))
    board._outputs.add = lambda *_, **__: None  # type: ignore[method-assign]  # its sums have a way of their own on a GPU
    batches = [Batch((torch.zeros(6, 1),)) for _ in range(2)]
    with Asked() as asked:
        for seed, batch in enumerate(batches):
            board.add(batch, reference=outputs(seed), simulated=outputs(seed + 2))
    assert asked.count == 0
    found = board.scored()
    assert [len(powers) for powers in found.noise.values()] == [12, 12]
    errors = np.concatenate([(outputs(i + 2)[0] - outputs(i)[0]).double().numpy() for i in range(2)])
    assert found.noise[0, 0] == pytest.approx(np.square(errors).sum(1), rel=1e-6)


def test_values_that_are_not_finite_count_as_far_as_can_be() -> None:
    tasks = Tasks()
    board = Scoreboard(("logits",), (), tasks, ReferenceTallies(tasks))
    wrong = outputs(1)[0].index_fill(0, torch.tensor([2]), math.nan)
    board.add(Batch((torch.zeros(6, 1),)), reference=outputs(0)[:1], simulated=(wrong,))
    board.add(Batch((torch.zeros(6, 1),)), reference=outputs(0)[:1], simulated=outputs(1)[:1])
    assert board.scored().relative_delta == math.inf


def test_the_sums_of_a_backward_pass_ask_for_nothing() -> None:
    observer, layer = _SquaredErrors(), Layer("conv", "conv", ("conv",), (), "conv", "compute")
    reference = torch.arange(12.0).view(3, 4).requires_grad_()
    error = torch.linspace(-1.0, 1.0, 12)
    observer.opened(layer, Lanes([reference, reference]))
    observer.chunk(layer, [reference.detach().flatten(), reference.detach().flatten() + error])
    observer.closed(layer, Lanes([reference, reference]))
    with Asked() as asked:
        (reference.square().sum() / 2.0).backward()  # type: ignore[no-untyped-call]
    assert asked.count == 0
    expected = float((reference.detach().flatten() * error).double().square().sum())
    assert float(observer.sums["conv"]) == pytest.approx(expected, rel=1e-5)
