"""Regression of a few numbers in units of their own, against NumPy."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import qdiag
from qdiag.batches import Batch
from qdiag.core.causes.lost_outputs import lost_outputs
from qdiag.simulate.task.quantities import ScaledError
from qdiag.simulate.task.tasks import Tasks, TaskSink

TASKS = Tasks((ScaledError(0),))


def drawn(n: int = 60) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    scales = torch.tensor([50.0, 50.0, 0.2])
    targets = torch.randn(n, 3, generator=generator) * scales
    reference = targets + 0.1 * scales * torch.randn(n, 3, generator=generator)
    simulated = reference + torch.tensor([0.0, 0.0, 0.3]) * torch.randn(n, 3, generator=generator)
    return targets, reference, simulated


@pytest.mark.parametrize("size", [1, 7, 60])
def test_each_number_counts_in_its_own_unit(size: int) -> None:
    targets, reference, simulated = drawn()
    sink = TaskSink(TASKS)
    for t, r, s in zip(targets.split(size), reference.split(size), simulated.split(size), strict=True):
        sink.add(Batch((r,), labels=t), reference=(r,), simulated=(s,))
    (figure,) = sink.result().figures
    t, r, s = (x.double().numpy() for x in (targets, reference, simulated))
    assert figure.reference == pytest.approx((np.abs(r - t).mean(0) / t.std(0)).mean())
    assert figure.simulated == pytest.approx((np.abs(s - t).mean(0) / t.std(0)).mean())
    assert figure.loss > figure.limit and figure.loss_interval.low > 0.0
    plain = np.abs(s - t).mean() - np.abs(r - t).mean()
    assert plain < 0.05 * np.abs(r - t).mean(), "the plain mean does not show the third number"


def test_a_number_whose_targets_never_change_counts_plainly() -> None:
    targets = torch.tensor([[1.0, 5.0], [3.0, 5.0]])
    sink = TaskSink(TASKS)
    sink.add(Batch((targets,), labels=targets), reference=(targets,), simulated=(targets + torch.tensor([0.0, 2.0]),))
    (figure,) = sink.result().figures
    assert (figure.reference, figure.simulated) == (0.0, pytest.approx(1.0))


class Units(nn.Module):
    """Three numbers, of which the third is a thousand times smaller: its share of the output's range is one step."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) * torch.tensor([100.0, 100.0, 0.1])


def test_a_number_that_is_lost_is_harm() -> None:
    torch.manual_seed(0)
    model, x = Units().eval(), torch.randn(128, 8)
    with torch.no_grad():
        targets = model(x) * (1.0 + 0.05 * torch.randn(128, 3))
    found = qdiag.diagnose(model, (x, targets))
    judged = found.ranking.before.task.judged
    assert judged is not None and judged.criterion.name == "nMAE"
    assert found.ranking.harm.verdict == "harmed"
    assert [output.name for output in lost_outputs(found.ranking.before)] == ["output"]
