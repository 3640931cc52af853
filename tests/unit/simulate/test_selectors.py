"""Places in a network by what stands before and behind them, and the schemes that name them."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from qdiag.config import load_scheme
from qdiag.core.graph import Layer, OpGraph
from qdiag.core.scheme import LayerOverride, QuantScheme, TensorChange
from qdiag.errors import ConfigError
from qdiag.numerics.quantizers.binary import Binary
from qdiag.simulate.case import Case
from qdiag.simulate.selectors import places, with_names
from tests.cases import open_test_case

IMAGES = torch.randn(6, 3, 6, 6, generator=torch.Generator().manual_seed(1))


def graph(**layers: tuple[str, ...]) -> OpGraph:
    """Layers by name with what they read; those with a capital letter have weights, `pool...` shares a quantizer."""
    made = [
        Layer(
            name=name,
            kind="conv" if name[0].isupper() else "input" if not inputs else "relu",
            policy="shared" if name.startswith("pool") else "own",
            module_path="",
            ops=(),
            nodes=(name,),
            inputs=inputs,
            weight=f"{name}.w" if name[0].isupper() else None,
        )
        for name, inputs in layers.items()
    ]
    return OpGraph(tuple(made))


def test_a_chain() -> None:
    body = {"A": ("norm",), "relu": ("A",), "B": ("relu",), "act": ("B",), "pool": ("act",), "C": ("pool",)}
    found = places(graph(x=(), norm=("x",), **body, out=("C",)))
    assert found == {
        "@first_input": ("x", "norm"),
        "@first": ("A",),
        "@last_input": ("act", "pool"),
        "@last": ("C", "out"),
    }


def test_several_inputs_and_outputs() -> None:
    layers = graph(x=(), A=("x",), z=(), B=("z",), add=("A", "B"), C=("add",), D=("add",), E=("D",), cat=("C", "E"))
    found = places(layers)
    assert found["@first_input"] == ("x", "z")
    assert found["@first"] == ("A", "B")
    assert found["@last_input"] == ("add", "D")
    assert found["@last"] == ("C", "E", "cat")


def test_one_layer_is_the_first_and_the_last() -> None:
    found = places(graph(x=(), A=("x",)))
    assert found == {"@first_input": ("x",), "@first": ("A",), "@last_input": ("x",), "@last": ("A",)}


def test_patterns_become_names_in_their_order() -> None:
    scheme = QuantScheme(
        float_layers=("B*", "@last"),
        layers=(
            LayerOverride("@first", weights=TensorChange(bits=4)),
            LayerOverride("A", weights=TensorChange(bits=5)),
        ),
    )
    named = with_names(scheme, graph(x=(), A=("x",), B1=("A",), C=("B1",)))
    assert named.float_layers == ("B*", "C")
    assert [override.pattern for override in named.layers] == ["A", "A"]
    assert named.weights_of("A").bits == 5, "what was set last wins"
    plain = QuantScheme(float_layers=("head*",))
    assert with_names(plain, graph(x=())) is plain


@pytest.mark.parametrize(("pattern", "message"), [("@frist", "is no place"), ("@first", "no layer stands at")])
def test_a_place_that_is_not_there_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        with_names(QuantScheme(float_layers=(pattern,)), graph(x=(), relu=("x",)))
    assert error.value.hint


class Residual(nn.Module):
    """Signs would be taken before the second and third layer with weights."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 4, 3, padding=1)
        self.bn = nn.BatchNorm2d(4)
        self.b, self.c = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = F.hardtanh(self.bn(self.a(x)))
        z = F.avg_pool2d(F.hardtanh(self.b(y)), 2)
        z = F.hardtanh(self.c(z))
        return self.head(z.mean((2, 3)))


@pytest.fixture(scope="module")
def residual() -> nn.Module:
    torch.manual_seed(0)
    return Residual().eval()


def types(case: Case) -> dict[str, tuple[str | None, str | None]]:
    """Formats of weight and output by layer."""
    found = {}
    for layer in case.network.graph.layers:
        plan = case.plan.layers[layer.name]
        kinds = (x.record().type if x is not None else None for x in (plan.weight, plan.output))
        found[layer.name] = tuple(kinds)
    return found  # type: ignore[return-value]


def test_bnn_has_signs_where_weights_are_multiplied_and_bytes_at_both_ends(residual: nn.Module) -> None:
    found = types(open_test_case(residual, IMAGES, "bnn"))
    assert found["input:x"] == (None, "affine")
    assert found["a"] == ("binary", None), "a BatchNorm reads the sum, which stays as it is"
    assert found["bn"] == (None, "binary")
    assert found["b"] == ("binary", None), "a pooling reads it"
    assert found["pool"] == (None, "binary"), "the sign comes after the pooling"
    assert found["c"] == ("binary", "affine"), "the mean before the last layer reads it in 8 bits"
    assert found["head"] == ("affine", "affine")


def test_xnor_leaves_both_ends_in_float(residual: nn.Module) -> None:
    case = open_test_case(residual, IMAGES, "xnor")
    found = types(case)
    assert found["input:x"] == found["a"] == found["head"] == (None, None)
    assert found["bn"] == (None, "binary")
    assert found["b"] == ("binary", None) and found["c"] == ("binary", None)
    weight = case.plan.layers["b"].weight
    assert isinstance(weight, Binary) and weight.centred_axis == 1 and weight.granularity == "per_channel"


def test_the_last_layer_of_bnn_in_float_by_option(residual: nn.Module) -> None:
    options = ['float_layers=["@last"]', 'layers."@last_input".activations.bits=32']
    found = types(open_test_case(residual, IMAGES, load_scheme("bnn", options)))
    assert found["head"] == (None, None)
    assert found["c"] == ("binary", None)
    assert found["a"] == ("binary", None) and found["bn"] == (None, "binary")


def test_w2a2_log4_and_twn(residual: nn.Module) -> None:
    for preset, inner in {"w2a2": "affine", "log4": "power_of_two", "twn": "ternary"}.items():
        case = open_test_case(residual, IMAGES, preset)
        plans = case.plan.layers
        assert types(case)["b"][0] == inner
        bits = [plan.weight.record().bits for name, plan in plans.items() if plan.weight is not None]
        assert bits == {"w2a2": [8, 2, 2, 8], "log4": [4] * 4, "twn": [2] * 4}[preset]
        outputs = {name: plan.output.record().bits for name, plan in plans.items() if plan.output is not None}
        if preset == "twn":
            assert outputs == {}
        else:
            assert (outputs["input:x"], outputs["head"]) == (8, 8)
            assert outputs["b"] == (2 if preset == "w2a2" else 4)
