"""Estimate and exact sweep simulate the same hardware where sums are narrow."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from qdiag.core.progress import NoProgress
from qdiag.core.scheme import QuantScheme, TensorScheme
from qdiag.loaders.data.sources import batches_from
from qdiag.numerics.quantizers.affine import Affine
from qdiag.simulate.case import Case
from qdiag.simulate.passes.batchwise.run_batches import run_batches
from qdiag.simulate.passes.paired import ErrorObserver, paired_lanes
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.surroundings import engine_arithmetic
from qdiag.simulate.sweeps.fisher import fisher_scores
from qdiag.subject import Subject
from tests.cases import SESSION, open_test_case
from tests.divided import datasets_from
from tests.runs import sensitivity_of_subject

UINT8 = TensorScheme(symmetric=False, signed=False)
INT8 = TensorScheme(narrow_range=True)
WIDE = QuantScheme(weights=INT8, activations=UINT8, bias="float")
NARROW = {"accumulator": replace(WIDE, accumulator_bits=20), "pairs": replace(WIDE, pair_saturation=True)}


class Last(nn.Module):
    """One layer of 64 sums on bright inputs, and an output that is no logits: the gradient is the output itself."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(64, 6)
        with torch.no_grad():
            self.fc.weight.copy_(0.5 + 0.5 * torch.rand(6, 64, generator=torch.Generator().manual_seed(0)))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x).unflatten(1, (2, 3))


def bright(count: int, width: int = 64) -> Tensor:
    return 1.0 - 0.3 * torch.rand(count, width, generator=torch.Generator().manual_seed(1))


def on_integers(case: Case, x: Tensor) -> Tensor:
    """The layer by hand: integer products, added as the backend adds them, quantized at the output."""
    plans, constants = case.plan.layers, case.network.program.constants
    layer = case.network.graph.layer("fc")
    source, weight, output = plans["input:x"].output, plans["fc"].weight, plans["fc"].output
    assert isinstance(source, Affine) and isinstance(weight, Affine) and isinstance(output, Affine)
    a, w = source.quantize(x).long(), weight.quantize(constants[layer.weight or ""]).long()
    if case.scheme.pair_saturation:
        sums = torch.zeros(len(x), 6, dtype=torch.long)
        for k in range(0, 64, 2):
            sums += (a[:, None, k : k + 2] * w[None, :, k : k + 2]).sum(2).clamp(-(2**15), 2**15 - 1)
        sums -= int(source.zero_point) * w.sum(1)
        real = sums * float(source.scale * weight.scale) + constants[layer.bias or ""]
    else:
        step = float(source.scale * weight.scale)
        free = ((a - int(source.zero_point)) @ w.T) * step + constants[layer.bias or ""]
        real = free.clamp(-(2.0**19) * step, (2.0**19 - 1) * step)
    return output.fake_quantize(real.float())


@pytest.mark.parametrize("kind", NARROW)
def test_the_error_that_the_estimate_squares_is_that_of_the_narrow_sums(kind: str) -> None:
    model, x = Last().eval(), bright(24)
    batches = batches_from(x, batch_size=7)
    case = open_test_case(model, batches, NARROW[kind])
    with torch.no_grad():
        exact = model.fc(x)
    error = on_integers(case, x) - exact
    wide = open_test_case(model, batches, WIDE)
    free = fisher_scores(SESSION, wide)["fc"]
    found = fisher_scores(SESSION, case)["fc"]
    assert found == pytest.approx(float((exact * error).square().sum()) / 24, rel=1e-3)
    assert found > 100.0 * free, "the planted saturation must exist"


@pytest.mark.parametrize("kind", NARROW)
def test_it_is_the_local_error_of_the_paired_pass(kind: str) -> None:
    model, x = Last().eval(), bright(24)
    case = open_test_case(model, batches_from(x, batch_size=7), NARROW[kind])
    observer = ErrorObserver(case.plan)
    with engine_arithmetic():
        runner = LaneRunner(paired_lanes(case.network, case.plan), [observer])
        run_batches(runner, case.measured, NoProgress(), stage="simulate")
    with torch.no_grad():
        expected = float((on_integers(case, x) - model.fc(x)).double().square().sum())
    assert observer.errors()["fc"].local.error_sq_sum == pytest.approx(expected, rel=1e-3)


class Planted(nn.Module):
    """Four linear layers; in the third, weights and inputs have one sign, and the sums leave 20 bits."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.layers = nn.ModuleList(nn.Linear(64, 64) for _ in range(4))
        self.out = nn.Linear(64, 5)
        with torch.no_grad():
            for layer in (*self.layers, self.out):
                layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator) / 8.0)
                layer.bias.copy_(0.2 * torch.randn(layer.bias.shape, generator=generator))
            self.layers[1].bias += 3.0
            self.layers[2].weight.copy_(0.1 * torch.rand(64, 64, generator=generator))
            self.layers[3].weight -= self.layers[3].weight.mean(1, keepdim=True)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.out(x)


def sweep(scheme: QuantScheme) -> tuple[list[str], list[str], float]:
    """Layers by the exact sweep and by the estimate, the worst first, and the rank correlation of the two."""
    x = torch.randn(48, 64, generator=torch.Generator().manual_seed(5))
    subject = Subject(Planted().eval(), "module", "planted", "Planted")
    found = sensitivity_of_subject(subject, datasets_from(x, calib_data=x), scheme)
    by_sweep = sorted(found.rows, key=lambda row: row.alone.output_sqnr_db if row.alone else 0.0)
    by_estimate = sorted(found.rows, key=lambda row: -row.fisher)
    return [r.layer for r in by_sweep], [r.layer for r in by_estimate], found.fisher_rank_correlation


def test_the_layer_that_overflows_is_the_first_of_both() -> None:
    by_sweep, by_estimate, correlation = sweep(NARROW["accumulator"])
    assert by_sweep[0] == by_estimate[0] == "layers.2"
    assert correlation > 0.8
    wide_sweep, wide_estimate, _ = sweep(WIDE)
    assert wide_sweep[0] != "layers.2" and wide_estimate[0] != "layers.2", "it is the narrow sums that make it so"


def test_a_layer_that_is_left_out_leaves_the_others_their_hardware() -> None:
    """Without the quantizers of the input of the layer that overflows, its sums are as narrow as before."""
    x = torch.randn(48, 64, generator=torch.Generator().manual_seed(5))
    subject = Subject(Planted().eval(), "module", "planted", "Planted")
    found = sensitivity_of_subject(subject, datasets_from(x, calib_data=x), NARROW["accumulator"])
    levels = {row.layer: row.all_but.output_sqnr_db for row in found.rows if row.all_but is not None}
    assert max(levels, key=lambda name: levels[name]) == "layers.2"
    assert levels["layers.1"] < levels["layers.2"] - 3.0
