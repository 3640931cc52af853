"""What a header says of bias and sums is what the plan of a network makes of them."""

import pytest
import torch
from torch import nn

from qdiag.config import load_scheme, preset_names
from qdiag.core.formats.integers import integer_layers
from qdiag.core.scheme import QuantScheme
from qdiag.reading.words.layers import arithmetic_words
from qdiag.simulate.passes.weights import simulated_weights
from tests.cases import open_test_case

IMAGES = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(2))
OTHERS: dict[str, list[str]] = {
    "powers of two": ["weights.type=power_of_two", "weights.bits=4"],
    "float weights": ["weights.bits=32"],
    "groups": ["weights.granularity=per_group", "weights.group_size=4"],
    "floats": ["activations.type=float"],
    "one layer of powers": ['layers."2".weights.type=power_of_two'],
    "given steps": [
        *("weights.type=linear", "weights.step=0.03125", "weights.range=[-1.0,1.0]", "weights.granularity=per_tensor"),
    ],
}


def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            *(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.Hardtanh(-1.0, 2.0), nn.Conv2d(4, 2, 1)),
        ).eval()


SCHEMES = {name: load_scheme(name) for name in preset_names()} | {
    name: load_scheme("int8", sets) for name, sets in OTHERS.items()
}


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=list(SCHEMES))
def test_words_say_what_is_simulated(scheme: QuantScheme) -> None:
    case = open_test_case(network(), IMAGES, scheme)
    weighted = [layer for layer in case.network.graph.layers if layer.weight is not None]
    have = [case.plan.integer_operands(layer) is not None for layer in weighted]
    words = arithmetic_words(case.scheme)
    assert integer_layers(case.scheme) == ("all" if all(have) else "some" if any(have) else "none")
    assert ("-bit accumulator" in words) == any(have)
    assert ("in float" in words or "float elsewhere" in words) == (not all(have))
    for layer, has_integers in zip(weighted, have, strict=True):
        own = case.network.program.constants[str(layer.bias)]
        bias = simulated_weights(case.network, case.plan, layer).bias
        assert bias is not None
        is_rounded = not torch.equal(bias, own)
        assert is_rounded == (has_integers and scheme.bias != "float"), layer.name


def test_that_a_bias_is_float_although_the_scheme_has_integers_is_explained() -> None:
    assert arithmetic_words(SCHEMES["powers of two"]) == (
        "bias float, sums in float, because no layer has integers at one scale, BatchNorm folded"
    )
    assert arithmetic_words(SCHEMES["one layer of powers"]) == (
        "bias int32, 32-bit accumulator where input and weight are integers at one scale, float elsewhere, "
        "BatchNorm folded"
    )
