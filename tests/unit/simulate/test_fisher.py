"""The estimate from one backward pass, against gradients and errors worked out by hand."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from qdiag.core.progress import NoProgress
from qdiag.loaders.data import batches_from
from qdiag.numerics.affine import fake_quantize
from qdiag.simulate.fisher import fisher_scores
from tests.cases import open_test_case


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
    case = open_test_case(model, batches, "tf-uint8")
    found = fisher_scores(case, batches, NoProgress())

    plans = case.plan.layers
    inputs = fake_quantize(x, plans["input:x"].output)
    hidden = F.relu(model.a(x)).detach().requires_grad_()
    logits = model.b(hidden)
    target = labels if is_labelled else logits.argmax(1)
    F.cross_entropy(logits, target, reduction="sum").backward()
    weight = fake_quantize(model.a.weight.detach(), plans["a"].weight)
    scale = plans["input:x"].output.scale * plans["a"].weight.scale
    bias = torch.round(model.a.bias.detach() / scale) * scale
    local = fake_quantize(F.relu(F.linear(inputs, weight, bias)), plans["a"].output)
    assert hidden.grad is not None
    expected = float(((local - hidden.detach()) * hidden.grad).square().sum()) / 24
    assert found["a"] == pytest.approx(expected, rel=1e-4)
    assert found["b"] > 0.0


def test_the_network_is_left_without_gradients() -> None:
    model, x = Two().eval(), torch.randn(8, 5)
    before = {name: p.clone() for name, p in model.named_parameters()}
    fisher_scores(open_test_case(model, batches_from(x), "int8"), batches_from(x), NoProgress())
    assert all(p.grad is None and torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_an_exact_layer_scores_nothing() -> None:
    model, x = Two().eval(), torch.randn(8, 5)
    with torch.no_grad():
        model.b.weight.zero_()
    found = fisher_scores(open_test_case(model, batches_from(x), "int8"), batches_from(x), NoProgress())
    assert found["a"] == 0.0  # nothing after it listens
    assert not math.isnan(found["b"])
