"""A network that gives as many rows as it finds: quantized it may find others, and the two cannot be compared."""

import pytest
import torch
from torch import Tensor, nn

import qdiag
from qdiag.errors import SimulationError


class Found(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 6)

    def forward(self, x: Tensor) -> Tensor:
        y = self.linear(x).relu()
        return y[y.nonzero()[:, 0]]


def test_it_is_refused_with_the_reason() -> None:
    torch.manual_seed(0)
    with pytest.raises(SimulationError, match=r"quantized it has the shape \(\d+, 6\), in float \(\d+, 6\)") as caught:
        qdiag.measure(Found().eval(), torch.randn(32, 4))
    assert caught.value.at == "output 0"
