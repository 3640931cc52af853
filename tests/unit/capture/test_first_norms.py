"""Which BatchNorms the input reaches first, and what runs in front of them."""

import pytest
import torch
from torch import Tensor, nn

from qdiag.batches import Batch
from qdiag.batchnorms.first import FirstNorms, first_norms
from qdiag.capture.capture import capture
from qdiag.capture.program import Runner
from qdiag.subject import Subject


def norm(channels: int, seed: int = 0) -> nn.BatchNorm2d:
    made = nn.BatchNorm2d(channels)
    generator = torch.Generator().manual_seed(seed)
    assert made.running_mean is not None and made.running_var is not None
    made.running_mean.copy_(torch.randn(channels, generator=generator))
    made.running_var.copy_(torch.rand(channels, generator=generator) + 0.5)
    return made


class TwoBranches(nn.Module):
    """Two BatchNorms side by side, one behind both; the first of another branch was never trained."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.fresh = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 1)
        self.left_bn, self.right_bn, self.fresh_bn = norm(4, 1), norm(4, 2), nn.BatchNorm2d(4)
        self.fresh_next, self.last_bn = norm(4, 3), norm(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.left_bn(self.left(x))) + self.right_bn(self.right(x))
        z: Tensor = self.last_bn(y) + self.fresh_next(self.fresh_bn(self.fresh(x)))
        return z


def found_in(model: nn.Module, x: Tensor) -> FirstNorms | None:
    with torch.no_grad():
        return first_norms(capture(Subject(model.eval(), "module", "m", "m"), Batch((x,))))


def test_the_first_of_every_branch_and_what_reaches_it() -> None:
    model, x = TwoBranches().eval(), torch.randn(2, 3, 5, 5)
    found = found_in(model, x)
    assert found is not None
    assert {one.name for one in found.norms} == {"left_bn", "right_bn", "fresh_next"}
    with torch.no_grad():
        inputs = dict(zip((one.name for one in found.norms), Runner(found.program)((x,)), strict=True))
        torch.testing.assert_close(inputs["left_bn"], model.left(x))
        torch.testing.assert_close(inputs["right_bn"], model.right(x))
        torch.testing.assert_close(inputs["fresh_next"], model.fresh_bn(model.fresh(x)))
    by_name = {one.name: one for one in found.norms}
    assert model.right_bn.running_mean is not None
    torch.testing.assert_close(by_name["right_bn"].mean, model.right_bn.running_mean)


def test_only_what_is_needed_runs() -> None:
    found = found_in(nn.Sequential(nn.Conv2d(3, 4, 1), norm(4), nn.Conv2d(4, 8, 3), nn.ReLU()), torch.randn(2, 3, 5, 5))
    assert found is not None
    assert sum(node.op == "call_function" for node in found.program.graph.nodes) == 1


def test_a_batchnorm_on_the_input_itself() -> None:
    x = torch.randn(2, 3, 5, 5)
    found = found_in(nn.Sequential(norm(3), nn.Conv2d(3, 4, 1)), x)
    assert found is not None
    torch.testing.assert_close(Runner(found.program)((x,))[0], x)


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()),
        nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)),
        nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, track_running_stats=False)),
    ],
    ids=["no BatchNorm", "never trained", "no statistics"],
)
def test_nothing_to_compare_with(model: nn.Module) -> None:
    assert found_in(model, torch.randn(2, 3, 5, 5)) is None
