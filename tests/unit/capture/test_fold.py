"""BatchNorm folding: exact wherever it is done, and a reason wherever it is not."""

import pytest
import torch
from torch import nn

from qdiag.batches import Batch
from qdiag.capture.capture import capture, largest_delta
from qdiag.capture.fold import FoldResult, fold_batchnorms
from qdiag.capture.program import Program, Runner
from qdiag.subject import Subject


def lively(norm: nn.Module) -> nn.Module:
    """Statistics and affine parameters that no test can mistake for the identity."""
    with torch.no_grad():
        norm.running_mean.normal_(0.2, 0.5)
        norm.running_var.uniform_(0.2, 3.0)
        if norm.affine:
            norm.weight.uniform_(-2.0, 2.0)
            norm.bias.normal_(0.0, 1.0)
    return norm


def program_of(model: nn.Module, x: torch.Tensor) -> Program:
    return capture(Subject(model.eval(), "module", "m", "m"), Batch((x,)))


def folded(model: nn.Module, x: torch.Tensor) -> FoldResult:
    torch.manual_seed(0)
    program = program_of(model, x)
    result = fold_batchnorms(program)
    with torch.no_grad():
        expected = (model(x),)
        _, relative = largest_delta(expected, Runner(result.program)((x,)))
    assert relative < 1e-5
    return result


IMAGE = torch.randn(3, 4, 9, 9, generator=torch.Generator().manual_seed(1))

FOLDABLE = {
    "conv": nn.Sequential(nn.Conv2d(4, 6, 3, padding=1, bias=False), lively(nn.BatchNorm2d(6))),
    "conv with bias": nn.Sequential(nn.Conv2d(4, 6, 3, stride=2), lively(nn.BatchNorm2d(6, eps=1e-3))),
    "depthwise": nn.Sequential(nn.Conv2d(4, 8, 3, groups=4), lively(nn.BatchNorm2d(8))),
    "no affine": nn.Sequential(nn.Conv2d(4, 6, 3), lively(nn.BatchNorm2d(6, affine=False))),
    "transposed": nn.Sequential(nn.ConvTranspose2d(4, 6, 3, stride=2), lively(nn.BatchNorm2d(6))),
    "transposed, groups": nn.Sequential(nn.ConvTranspose2d(4, 6, 3, groups=2), lively(nn.BatchNorm2d(6))),
    "before an unpadded conv": nn.Sequential(nn.ReLU(), lively(nn.BatchNorm2d(4)), nn.Conv2d(4, 6, 3, groups=2)),
}


@pytest.mark.parametrize("name", FOLDABLE)
def test_folds_exactly(name: str) -> None:
    result = folded(FOLDABLE[name], IMAGE)
    assert len(result.folded) == 1
    assert not result.kept
    assert not [n for n in result.program.graph.nodes if "batch_norm" in str(n.target)]


def test_linear_before_and_after() -> None:
    x = torch.randn(5, 4)
    assert len(folded(nn.Sequential(nn.Linear(4, 6), lively(nn.BatchNorm1d(6))), x).folded) == 1
    assert len(folded(nn.Sequential(nn.Tanh(), lively(nn.BatchNorm1d(4)), nn.Linear(4, 6)), x).folded) == 1


def test_conv_1d_and_3d() -> None:
    assert folded(nn.Sequential(nn.Conv1d(4, 6, 3), lively(nn.BatchNorm1d(6))), torch.randn(2, 4, 9)).folded
    assert folded(nn.Sequential(nn.Conv3d(2, 3, 2), lively(nn.BatchNorm3d(3))), torch.randn(2, 2, 4, 4, 4)).folded


class Shared(nn.Module):
    """One convolution, a norm of its own at each call."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.first, self.second = lively(nn.BatchNorm2d(4)), lively(nn.BatchNorm2d(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.second(self.conv(torch.relu(self.first(self.conv(x)))))
        return y


def test_a_shared_convolution_gets_weights_of_its_own_for_each_norm() -> None:
    result = folded(Shared(), IMAGE)
    assert [f.norm for f in result.folded] == ["first", "second"]
    assert sum(name == "conv.weight" for name in result.program.parameter_names.values()) >= 2


def reasons(result: FoldResult) -> dict[str, str]:
    return {kept.name: kept.reason for kept in result.kept}


def test_padding_keeps_a_norm_with_a_shift() -> None:
    model = nn.Sequential(nn.ReLU(), lively(nn.BatchNorm2d(4)), nn.Conv2d(4, 6, 3, padding=1))
    assert "pads with zeros" in reasons(folded(model, IMAGE))["1"]


class Tapped(nn.Module):
    """The convolution's output is read before the norm, too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(4, 4, 3), lively(nn.BatchNorm2d(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.conv(x)
        return y + self.norm(y)


def test_a_convolution_with_other_readers_keeps_its_norm() -> None:
    assert "also read elsewhere" in reasons(folded(Tapped(), IMAGE))["norm"]


def test_a_norm_without_statistics_stays() -> None:
    model = nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6, track_running_stats=False))
    result = fold_batchnorms(program_of(model, IMAGE))
    assert not result.folded
    assert "training mode" in reasons(result)["1"]


def test_channels_on_another_axis_than_the_linear_outputs_stay() -> None:
    model = nn.Sequential(nn.Linear(7, 6), lively(nn.BatchNorm1d(4)))
    result = folded(model, torch.randn(3, 4, 7))
    assert "not the outputs of the linear layer" in reasons(result)["1"]


def test_the_program_given_is_left_as_it_is() -> None:
    model = FOLDABLE["conv"]
    program = program_of(model, IMAGE)
    before = str(program.graph), {k: v.clone() for k, v in program.constants.items()}
    fold_batchnorms(program)
    assert str(program.graph) == before[0]
    assert all(torch.equal(v, before[1][k]) for k, v in program.constants.items())
