"""The estimate from one backward pass, against gradients and errors worked out by hand."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from qdiag.config import load_preset
from qdiag.errors import SimulationError
from qdiag.loaders.data.sources import batches_from
from qdiag.pipeline.sensitivity import SensitivityOptions
from qdiag.simulate.arithmetic import differentiable
from qdiag.simulate.sweeps.fisher import fisher_scores
from qdiag.subject import Subject
from tests.cases import SESSION, open_test_case
from tests.divided import datasets_from
from tests.models import KINDS
from tests.runs import sensitivity_of_subject


class Two(nn.Module):
    """Small enough to write its gradient down."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(5, 7), nn.Linear(7, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(F.relu(self.a(x)))


@pytest.mark.parametrize("is_labelled", [True, False])
def test_it_is_the_squared_gradient_times_the_squared_local_error(is_labelled: bool) -> None:
    torch.manual_seed(0)
    model, x, labels = Two().eval(), torch.randn(24, 5), torch.randint(0, 4, (24,))
    batches = batches_from((x, labels) if is_labelled else x, batch_size=7)
    case = open_test_case(model, batches, "tf-uint8", task="classify")
    found = fisher_scores(SESSION, case)

    plans = case.plan.layers
    inputs = plans["input:x"].output.fake_quantize(x)
    hidden = F.relu(model.a(x)).detach().requires_grad_()
    logits = model.b(hidden)
    target = labels if is_labelled else logits.argmax(1)
    F.cross_entropy(logits, target, reduction="sum").backward()
    weight = plans["a"].weight.fake_quantize(model.a.weight.detach())
    scale = plans["input:x"].output.scale * plans["a"].weight.scale
    bias = torch.round(model.a.bias.detach() / scale) * scale
    local = plans["a"].output.fake_quantize(F.relu(F.linear(inputs, weight, bias)))
    assert hidden.grad is not None
    expected = float(((local - hidden.detach()) * hidden.grad).square().sum()) / 24
    assert found["a"] == pytest.approx(expected, rel=1e-4)
    assert found["b"] > 0.0


def test_the_network_is_left_without_gradients() -> None:
    model, x = Two().eval(), torch.randn(8, 5)
    before = {name: p.clone() for name, p in model.named_parameters()}
    fisher_scores(SESSION, open_test_case(model, batches_from(x), "int8"))
    assert all(p.grad is None and torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_an_exact_layer_scores_nothing() -> None:
    model, x = Two().eval(), torch.randn(8, 5)
    with torch.no_grad():
        model.b.weight.zero_()
    found = fisher_scores(SESSION, open_test_case(model, batches_from(x), "int8"))
    assert found["a"] == 0.0  # nothing after it listens
    assert not math.isnan(found["b"])


def test_writing_into_a_tensor_does_not_stop_the_gradient() -> None:
    kind = KINDS["aliasing"]
    (x, *_), _ = kind.inputs(batch=4, seed=0)
    case = open_test_case(kind.build(), x, "tf-uint8")
    found = fisher_scores(SESSION, case)
    assert set(found) >= {layer.name for layer in case.network.graph.layers if layer.weight is not None}
    assert all(value >= 0.0 for value in found.values())


class Stopped(torch.autograd.Function):
    """Passes its input on, and no gradient back."""

    @staticmethod
    def forward(context: object, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(context: object, *gradients: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("derivative for this is not implemented")


def test_an_operation_without_a_derivative_costs_the_estimate_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(differentiable, "_WITH_DERIVATIVE", {torch.ops.aten.sigmoid.default: Stopped.apply})
    model, x = nn.Sequential(nn.Linear(5, 7), nn.Sigmoid(), nn.Linear(7, 4)).eval(), torch.randn(8, 5)
    with pytest.raises(SimulationError, match="no gradient passes"):
        fisher_scores(SESSION, open_test_case(model, batches_from(x), "int8"))
    subject, data = Subject(model, "module", "two", "Two"), datasets_from(x, calib_data=x)
    result = sensitivity_of_subject(subject, data, load_preset("int8"))
    assert all(row.alone is not None and math.isnan(row.fisher) for row in result.rows)
    assert len(result.notes) == 1 and "no gradient passes" in result.notes[0]
    with pytest.raises(SimulationError, match="no gradient passes"):
        sensitivity_of_subject(subject, data, load_preset("int8"), SensitivityOptions(with_exact=False))


def written_sign(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x >= 0.0, 0.5, -0.5)


def plain_sign(x: torch.Tensor) -> torch.Tensor:
    return torch.sign(x)


def rounded(x: torch.Tensor) -> torch.Tensor:
    return torch.round(x * 4.0) / 4.0


class Stepped(nn.Module):
    """Two layers with a function between them that has no derivative."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.a, self.b, self.function = nn.Linear(5, 7), nn.Linear(7, 4), function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(self.function(self.a(x)))


@pytest.mark.parametrize(
    ("function", "estimated"),
    [
        (written_sign, lambda h: 0.5 * h.clamp(-1.0, 1.0)),
        (lambda x: torch.where(x < 0.0, -0.5, 0.5), lambda h: 0.5 * h.clamp(-1.0, 1.0)),
        (plain_sign, lambda h: h.clamp(-1.0, 1.0)),
        (rounded, lambda h: h),
    ],
)
def test_signs_and_rounding_of_the_network_let_the_gradient_through(
    function: Callable[[torch.Tensor], torch.Tensor], estimated: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    """The gradient before them is that of the straight-through formula, written with autograd."""
    torch.manual_seed(1)
    model, x, labels = Stepped(function).eval(), 2.0 * torch.randn(24, 5), torch.randint(0, 4, (24,))
    case = open_test_case(model, batches_from((x, labels), batch_size=7), "w32a8", task="classify")
    found = fisher_scores(SESSION, case)

    hidden = model.a(x).detach().requires_grad_()
    smooth = estimated(hidden)
    logits = model.b(smooth + (function(hidden.detach()) - smooth).detach())
    F.cross_entropy(logits, labels, reduction="sum").backward()
    plans = case.plan.layers
    inputs = plans["input:x"].output.fake_quantize(x)
    local, output = model.a(inputs).detach(), plans["a"].output
    local = output.fake_quantize(local) if output is not None else local  # what a sign alone reads is not rounded
    assert hidden.grad is not None and float(hidden.grad.abs().sum()) > 0.0
    expected = float(((local - hidden.detach()) * hidden.grad).square().sum()) / 24
    assert found["a"] == pytest.approx(expected, rel=1e-4)


def test_a_choice_that_is_no_sign_has_no_gradient_of_one() -> None:
    case = open_test_case(Stepped(lambda x: torch.where(x >= 0.5, 1.0, -1.0)).eval(), torch.randn(8, 5), "w32a8")
    assert "a" not in fisher_scores(SESSION, case)
    case = open_test_case(Stepped(lambda x: torch.where(x >= 0.0, 1.0, 0.0)).eval(), torch.randn(8, 5), "w32a8")
    assert "a" not in fisher_scores(SESSION, case)
