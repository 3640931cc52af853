"""An arithmetic that qdiag does not know, plugged in as a backend's author would: every pass computes with it."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from qdiag.core.graph import Layer
from qdiag.core.progress import NoProgress
from qdiag.core.scheme import QuantScheme, TensorScheme
from qdiag.loaders.data.sources import batches_from
from qdiag.numerics.quantizers.affine import Affine
from qdiag.pipeline.sensitivity import SensitivityOptions
from qdiag.plan import QuantPlan
from qdiag.simulate.arithmetic import table
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.case import Case
from qdiag.simulate.passes.batchwise.run_batches import run_batches
from qdiag.simulate.passes.paired import ErrorObserver, paired_lanes
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.surroundings import engine_arithmetic
from qdiag.simulate.sweeps.fisher import fisher_scores
from qdiag.simulate.sweeps.sensitivity import all_but, alone
from qdiag.subject import Subject
from tests.cases import SESSION, open_test_case, output_error
from tests.divided import datasets_from
from tests.runs import sensitivity_of_subject

BITS = 5
SCHEME = QuantScheme(
    weights=TensorScheme(narrow_range=True), activations=TensorScheme(symmetric=False, signed=False), bias="float"
)
X = torch.rand(24, 10, generator=torch.Generator().manual_seed(1))
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class RoundedProducts:
    """A multiplier in fixed point: each product is rounded to a number of fraction bits, and the sum is exact."""

    fraction_bits: int

    @property
    def key(self) -> Hashable:
        return ("rounded products", self.fraction_bits)

    def run(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        x, weight, bias = op.arguments(args)
        step = 2.0**self.fraction_bits
        products = x.double().unsqueeze(-2) * weight.double()
        return ((products * step).round() / step).sum(-1).add(bias).float()


def rounded_products(plan: QuantPlan, layer: Layer) -> RoundedProducts | None:
    """Where integers are multiplied, as a kernel would be chosen."""
    is_ours = layer.kind == "linear" and plan.integer_operands(layer) is not None
    return RoundedProducts(BITS) if is_ours else None


class Two(nn.Module):
    """An output that is no logits: the gradient of the loss is the output itself."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.a, self.b = nn.Linear(10, 8), nn.Linear(8, 6)
        with torch.no_grad():
            for layer in (self.a, self.b):
                layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator) / 4.0)
                layer.bias.copy_(torch.rand(layer.bias.shape, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        return self.b(torch.relu(self.a(x))).unflatten(1, (2, 3))


@pytest.fixture(autouse=True)
def plugged_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(table, "ARITHMETICS", (*table.ARITHMETICS, rounded_products))
    yield


def opened() -> Case:
    return open_test_case(Two().eval(), batches_from(X, batch_size=7), SCHEME)


class ByHand:
    """The network in NumPy: integers, products rounded one by one, and nothing of the engine."""

    def __init__(self, case: Case) -> None:
        self.constants, self.plans = case.network.program.constants, case.plan.layers
        self.layers = {name: case.network.graph.layer(name) for name in ("a", "b")}

    def quantized(self, name: str, x: Doubles) -> Doubles:
        """The integers of a layer's output, in real units."""
        found = self.plans[name].output
        assert isinstance(found, Affine)
        integers = np.clip(np.rint(x / float(found.scale)) + int(found.zero_point), found.quant_min, found.quant_max)
        return (integers - int(found.zero_point)) * float(found.scale)

    def weight(self, name: str, *, rounds: bool) -> Doubles:
        exact = self.constants[self.layers[name].weight or ""].double().numpy()
        found = self.plans[name].weight
        assert isinstance(found, Affine)
        bound = found.quant_max
        return np.clip(np.rint(exact / float(found.scale)), -bound, bound) * float(found.scale) if rounds else exact

    def layer(self, name: str, x: Doubles, *, rounds: bool, in_steps: bool) -> Doubles:
        """One layer without its quantizer. rounds: the weight. in_steps: the products."""
        products = x[:, None, :] * self.weight(name, rounds=rounds)[None]
        if in_steps:
            products = np.rint(products * 2.0**BITS) / 2.0**BITS
        sums: Doubles = products.sum(2) + self.constants[self.layers[name].bias or ""].double().numpy()
        return np.maximum(sums, 0.0) if name == "a" else sums

    def on_integers(self, name: str, x: Doubles) -> Doubles:
        return self.quantized(name, self.layer(name, x, rounds=True, in_steps=True))

    def in_float(self, name: str, x: Doubles) -> Doubles:
        return self.layer(name, x, rounds=False, in_steps=False)


def power(error: Doubles) -> float:
    return float(np.square(error).sum())


def test_the_paired_pass_computes_with_it() -> None:
    case = opened()
    hand, x = ByHand(case), X.double().numpy()
    observer = ErrorObserver(case.plan)
    with engine_arithmetic():
        runner = LaneRunner(paired_lanes(case.network, case.plan), [observer])
        run_batches(runner, case.measured, NoProgress(), stage="simulate")
    inputs, hidden = hand.quantized("input:x", x), hand.in_float("a", x)
    output, simulated = hand.in_float("b", hidden), hand.on_integers("a", inputs)
    errors = observer.errors()
    assert errors["a"].local.error_sq_sum == pytest.approx(power(simulated - hidden), rel=1e-3)
    local = hand.on_integers("b", hand.quantized("a", hidden)) - output
    assert errors["b"].local.error_sq_sum == pytest.approx(power(local), rel=1e-3)
    propagated = hand.on_integers("b", simulated) - output
    assert errors["b"].propagated.error_sq_sum == pytest.approx(power(propagated), rel=1e-3)
    plain = hand.quantized("a", hand.layer("a", inputs, rounds=True, in_steps=False))
    assert power(simulated - hidden) > 2.0 * power(plain - hidden), "the rounding of products must show"


def test_variants_compute_with_it() -> None:
    """One layer by itself, and all but one: beside a float reference, and in lanes beside each other."""
    case = opened()
    hand, x = ByHand(case), X.double().numpy()
    hidden = hand.in_float("a", x)
    output = hand.in_float("b", hidden)
    inputs = hand.quantized("input:x", x)
    expected = {
        "alone a": hand.in_float("b", hand.on_integers("a", x)) - output,
        "alone b": hand.on_integers("b", hidden) - output,
        "all but a": hand.on_integers("b", hand.in_float("a", inputs)) - output,
        "all but b": hand.in_float("b", hand.on_integers("a", inputs)) - output,
    }
    cases = [alone(case, "a", "both"), alone(case, "b", "both"), all_but(case, "a", "both"), all_but(case, "b", "both")]
    for name, error, one in zip(expected, expected.values(), cases, strict=True):
        assert output_error(one).error_sq_sum == pytest.approx(power(error), rel=1e-3), name
    subject = Subject(Two().eval(), "module", "two", "Two")
    found = sensitivity_of_subject(subject, datasets_from(X, calib_data=X), SCHEME, SensitivityOptions())
    for row in found.rows:
        for kind, score in (("alone", row.alone), ("all but", row.all_but)):
            if row.layer in hand.layers and score is not None:
                level = 10.0 * np.log10(power(output) / power(expected[f"{kind} {row.layer}"]))
                assert score.outputs[0].error.sqnr_db == pytest.approx(level, abs=0.01), (kind, row.layer)


def test_the_losses_show_what_it_takes_away() -> None:
    case = opened()
    hand, x = ByHand(case), X.double().numpy()
    with engine_arithmetic():
        records = {record.name: record for record in SESSION.measure(case, "losses").records}
    inputs = hand.quantized("input:x", x)
    loss = records["a"].losses
    assert loss is not None
    bias = hand.constants[hand.layers["a"].bias or ""].double().numpy()
    products = inputs[:, None, :] * hand.weight("a", rounds=True)[None]
    steps = np.rint(products * 2.0**BITS) / 2.0**BITS
    assert loss.saturation.error_sq_sum == pytest.approx(power((products - steps).sum(2)), rel=1e-3)
    assert loss.saturation.reference_sq_sum == pytest.approx(power(products.sum(2) + bias), rel=1e-3)
    by_weight = hand.layer("a", x, rounds=True, in_steps=False) - hand.in_float("a", x)
    assert loss.weight.error_sq_sum == pytest.approx(power(by_weight), rel=1e-3), "of the weight alone, as before"


def test_the_estimate_squares_its_error() -> None:
    case = opened()
    hand, x = ByHand(case), X.double().numpy()
    found = fisher_scores(SESSION, case)
    hidden, inputs = hand.in_float("a", x), hand.quantized("input:x", x)
    output = hand.in_float("b", hidden)
    error = hand.on_integers("b", hand.quantized("a", hidden)) - output
    assert found["b"] == pytest.approx(power(output * error) / len(x), rel=1e-3)
    gradient = (output @ hand.weight("b", rounds=False)) * (hidden > 0.0)
    assert found["a"] == pytest.approx(power(gradient * (hand.on_integers("a", inputs) - hidden)) / len(x), rel=1e-3)
