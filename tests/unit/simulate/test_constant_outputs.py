"""Outputs that do not depend on the input are told from those that do, however samples come in batches."""

import pytest
import torch
from torch import Tensor, nn

import qdiag
from qdiag.loaders.data.sources import batches_from

X = torch.randn(7, 3, generator=torch.Generator().manual_seed(1))


class Outputs(nn.Module):
    """Logits of a layer that died behind its ReLU; one that is alive; numbers that do not ask for the input."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out = nn.Linear(3, 4), nn.Linear(3, 4), nn.Linear(4, 5)
        with torch.no_grad():
            self.a.bias.fill_(-100.0)
            self.out.bias.copy_(torch.arange(5.0))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"dead": self.out(self.a(x).relu()), "alive": self.out(self.b(x))}


@pytest.mark.parametrize("size", [1, 3, 7])
def test_the_same_for_every_sample(size: int) -> None:
    torch.manual_seed(0)
    found = qdiag.measure(Outputs().eval(), batches_from(X, batch_size=size))
    assert {output.name: output.is_constant for output in found.outputs} == {"dead": True, "alive": False}
    dead = next(output for output in found.outputs if output.name == "dead")
    assert dead.error.reference_sq_sum > 0.0, "the biases are no zeros"


def test_one_sample_says_nothing_of_others() -> None:
    torch.manual_seed(0)
    found = qdiag.measure(Outputs().eval(), X[:1])
    assert not any(output.is_constant for output in found.outputs)
