"""Biases that do not fit their integers, and which of them a change of scheme brings with it."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from qdiag.core.causes.findings import Evidence
from qdiag.core.scheme import QuantScheme, TensorScheme
from qdiag.pipeline.notes import overflow_notes
from qdiag.reading.words.evidence import evidence_words
from qdiag.simulate.facts.bias import new_overflows, overflowing_biases
from tests.cases import open_test_case


class Net(nn.Module):
    """One channel has tiny weights and a bias like the others: under a scale of its own, that is beyond 32 bits."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv(x))


def test_a_change_of_scheme_is_told_with_the_biases_that_it_makes_too_large() -> None:
    torch.manual_seed(0)
    model, images = Net().eval(), torch.rand(4, 4, 10, 10)
    with torch.no_grad():
        model.conv.weight[3] *= 1e-9
        model.conv.bias[3] = 1.0
    scheme = QuantScheme(weights=TensorScheme(), activations=TensorScheme(symmetric=False, signed=False))
    channelwise = replace(scheme, weights=TensorScheme(granularity="per_channel"))
    before, after = (open_test_case(model, images, one) for one in (scheme, channelwise))
    assert overflowing_biases(before.network, before.plan) == {}
    assert overflowing_biases(after.network, after.plan) == {"conv": (3,)}
    (cost,) = new_overflows(before, after)
    assert cost == Evidence("overflowing_biases", 1.0, "values")
    assert new_overflows(after, before) == () and new_overflows(after, after) == ()
    said = evidence_words(cost)
    assert said.startswith("1 bias is larger than the integer of a bias can be, and is limited")


def test_a_measurement_tells_of_them_too() -> None:
    assert overflow_notes({}) == ()
    (note,) = overflow_notes({"conv1": (0, 3), "fc": (1,)})
    assert note.startswith("3 biases are larger") and "in conv1, fc" in note and "QD104" in note
