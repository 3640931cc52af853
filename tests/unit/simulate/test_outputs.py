"""Every float output that is read has a quantizer, a row and errors of its own; constants have none of the last two."""

import dataclasses

import pytest
import torch
from torch import Tensor, nn

import qdiag
from qdiag.core.measures.error_sums import ErrorSums
from qdiag.core.progress import NoProgress
from qdiag.core.scheme import QuantScheme, TensorScheme
from qdiag.simulate.case import Case
from qdiag.simulate.passes.batchwise.run_batches import run_batches
from qdiag.simulate.passes.paired import ErrorObserver, LayerErrors, paired_lanes
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.passes.weights import simulated_weights
from qdiag.simulate.surroundings import engine_arithmetic
from qdiag.simulate.sweeps.fisher import fisher_scores
from qdiag.simulate.sweeps.sensitivity import alone, switchable_layers
from tests.cases import SESSION, open_test_case
from tests.models import KINDS

UINT8 = QuantScheme(
    weights=TensorScheme(narrow_range=True), activations=TensorScheme(symmetric=False, signed=False), bias="float"
)


def drawn(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def errors_of(case: Case) -> dict[str, LayerErrors]:
    observer = ErrorObserver(case.plan)
    with engine_arithmetic():
        runner = LaneRunner(paired_lanes(case.network, case.plan), [observer])
        run_batches(runner, case.measured, NoProgress(), stage="simulate")
    return observer.errors()


def quantized(case: Case, name: str, x: Tensor) -> Tensor:
    quantizer = case.plan.layers[name].output
    assert quantizer is not None
    return quantizer.fake_quantize(x.contiguous())


def check(actual: ErrorSums, reference: Tensor, simulated: Tensor) -> None:
    r, s = reference.double().numpy(), simulated.double().numpy()
    assert actual.count == r.size
    assert actual.reference_sq_sum == pytest.approx((r**2).sum(), rel=1e-5)
    assert actual.error_sq_sum == pytest.approx(((s - r) ** 2).sum(), rel=1e-3)
    assert actual.error_sq_sum > 0.0


class LastState(nn.Module):
    """Reads h_n alone."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(6, 6)
        self.lstm, self.fc = nn.LSTM(6, 10, batch_first=True), nn.Linear(10, 4)

    def forward(self, x: Tensor) -> Tensor:
        _, (h, _) = self.lstm(self.project(x))
        return self.fc(h[-1])


def test_the_noise_of_the_lstm_is_its_own_and_the_next_layer_starts_anew() -> None:
    torch.manual_seed(0)
    model, x = LastState().eval(), drawn(12, 7, 6)
    case = open_test_case(model, x, UINT8)
    found = errors_of(case)
    assert list(found) == ["input:x", "project", "lstm", "fc"], "what nothing reads has no row"
    with torch.no_grad():
        h = model.lstm(model.project(x))[1][0]
        from_rounded = model.lstm(quantized(case, "project", model.project(x)))[1][0]
        check(found["lstm"].local, h, quantized(case, "lstm", from_rounded))
        weights = simulated_weights(case.network, case.plan, case.network.graph.layer("fc"))
        assert weights.weight is not None
        anew = nn.functional.linear(quantized(case, "lstm", h)[-1], weights.weight, weights.bias)
        check(found["fc"].local, model.fc(h[-1]), quantized(case, "fc", anew))
        first = simulated_weights(case.network, case.plan, case.network.graph.layer("project"))
        assert first.weight is not None
        arrived = nn.functional.linear(quantized(case, "input:x", x), first.weight, first.bias)
        state = model.lstm(quantized(case, "project", arrived))[1][0]
        through = nn.functional.linear(quantized(case, "lstm", state)[-1], weights.weight, weights.bias)
        check(found["fc"].propagated, model.fc(h[-1]), quantized(case, "fc", through))


class AllStates(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(6, 6)
        self.lstm, self.fc, self.other = nn.LSTM(6, 10, batch_first=True), nn.Linear(10, 4), nn.Linear(10, 4)

    def forward(self, x: Tensor) -> Tensor:
        steps, (h, c) = self.lstm(self.project(x))
        return self.fc(steps[:, -1]) + self.other(h[-1] * 3.0) + self.other(c[-1])


def test_each_state_has_a_row_a_quantizer_and_ranges() -> None:
    torch.manual_seed(0)
    model, x = AllStates().eval(), drawn(12, 7, 6)
    case = open_test_case(model, x, UINT8)
    found = errors_of(case)
    names = ("lstm", "lstm.h_n", "lstm.c_n")
    assert [name for name in found if name.startswith("lstm")] == list(names)
    with torch.no_grad():
        steps, (h, c) = model.lstm(model.project(x))
        rounded = model.lstm(quantized(case, "project", model.project(x)))
        for name, exact, other in zip(names, (steps, h, c), (rounded[0], *rounded[1]), strict=True):
            check(found[name].local, exact, quantized(case, name, other))
            seen = case.observations[name].statistics.range
            assert (seen.min, seen.max) == pytest.approx((float(exact.min()), float(exact.max())))
    keys = {case.plan.layers[name].output.key for name in names}  # type: ignore[union-attr]
    assert len(keys) == 3, "the cell reaches further than what it lets out"
    record = qdiag.measure(model, x, scheme=UINT8)
    assert [op.name for op in record.float_ops] == ["lstm"], "one operation in float, not three"
    assert record.record("lstm.c_n").inputs == ("lstm",)
    scores = fisher_scores(SESSION, case)
    assert all(scores[name] > 0.0 for name in names)
    assert set(names) <= set(switchable_layers(case, "both"))


class Statistics(nn.Module):
    """A norm that gives mean and deviation as well, and an unknown operation with two results."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y, mean, rstd = torch.ops.aten.native_layer_norm(x, [8], None, None, 1e-5)
        variance, center = torch.var_mean(x, -1, keepdim=True)
        return self.fc(y * rstd + mean), center * 1.0 + torch.relu(variance)


def test_further_outputs_of_norms_and_of_unknown_operations() -> None:
    model, x = Statistics().eval(), drawn(12, 8)
    case = open_test_case(model, x, UINT8)
    graph = case.network.graph
    norm, unknown = (
        next(layer for layer in graph.layers if layer.ops and layer.ops[0].endswith(op)) for op in ("norm", "var_mean")
    )
    further = [layer.name for layer in graph.layers if layer.kind == "output"]
    assert further == [f"{norm.name}[1]", f"{norm.name}[2]", f"{unknown.name}[1]"]
    found = errors_of(case)
    with torch.no_grad():
        exact = torch.ops.aten.native_layer_norm(x, [8], None, None, 1e-5)
        rounded = torch.ops.aten.native_layer_norm(quantized(case, "input:x", x), [8], None, None, 1e-5)
        for name, i in ((norm.name, 0), *((f"{norm.name}[{i}]", i) for i in (1, 2))):
            check(found[name].local, exact[i], quantized(case, name, rounded[i]))
    kept = open_test_case(model, x, dataclasses.replace(UINT8, float_layers=(norm.name,)))
    reasons = {name: kept.plan.layers[name].float_reason for name in (norm.name, *further[:2])}
    assert len(set(reasons.values())) == 1 and None not in reasons.values(), "an operation is in float as a whole"


class Selected(nn.Module):
    """Largest values with their places, halves of a split, and a maximum with indices."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(3, 4), nn.Linear(5, 4), nn.Linear(1, 4)

    def forward(self, x: Tensor) -> Tensor:
        values, _ = x.topk(3, dim=1)
        _, right = x.split([3, 5], dim=1)
        largest, _ = x.max(dim=1, keepdim=True)
        return self.first(values) + self.second(right) + self.third(largest)


def test_layers_that_read_selections_start_from_the_quantized_reference() -> None:
    torch.manual_seed(0)
    model, x = Selected().eval(), drawn(12, 8)
    case = open_test_case(model, x, UINT8)
    found = errors_of(case)
    start = quantized(case, "input:x", x)
    rows = {
        "first": (model.first, x.topk(3, dim=1)[0], quantized(case, "topk", x.topk(3, dim=1)[0])),
        "second": (model.second, x[:, 3:], start[:, 3:]),
        "third": (model.third, x.amax(1, keepdim=True), start.amax(1, keepdim=True)),
    }
    with torch.no_grad():
        for name, (module, exact, rounded) in rows.items():
            weights = simulated_weights(case.network, case.plan, case.network.graph.layer(name))
            assert weights.weight is not None
            local = nn.functional.linear(rounded, weights.weight, weights.bias)
            check(found[name].local, module(exact), quantized(case, name, local))


@pytest.mark.parametrize(("kind", "constants"), [("buffer_constant", 2), ("vit_multihead", 2)])
def test_constants_are_quantized_and_are_no_layers(kind: str, constants: int) -> None:
    (x, *_), _ = KINDS[kind].inputs(4, 0)
    model = KINDS[kind].build()
    case = open_test_case(model, x, "int8")
    graph = case.network.graph
    names = {constant.name for constant in graph.constants}
    assert len(names) == constants
    assert names.isdisjoint(layer.name for layer in graph.layers)
    assert all(case.plan.layers[name].output is not None for name in names)
    assert names.isdisjoint(switchable_layers(case, "both"))
    result = qdiag.measure(model, x, scheme="int8", with_losses=True)
    assert names.isdisjoint(record.name for record in result.records)
    assert all(names.isdisjoint(record.inputs) for record in result.records)
    assert any(f"{constants} constant operands are quantized" in note for note in result.notes)
    assert names.isdisjoint(record.layer for record in qdiag.ranges(model, x).records)
    assert names.isdisjoint(fisher_scores(SESSION, case))


def test_what_a_constant_costs_belongs_to_the_layer_that_reads_it() -> None:
    (x, *_), _ = KINDS["buffer_constant"].inputs(4, 0)
    case = open_test_case(KINDS["buffer_constant"].build(), x, "int8")
    reader = next(layer for layer in case.network.graph.layers if "scale" in layer.inputs)
    assert alone(case, reader.name, "both").plan.layers["scale"].output is not None
    assert alone(case, "fc", "both").plan.layers["scale"].output is None
    coarse = dataclasses.replace(case, plan=case.plan.with_layer("scale", output=two_bits(case)))
    assert errors_of(coarse)[reader.name].local.error_sq_sum > 100.0 * errors_of(case)[reader.name].local.error_sq_sum


def two_bits(case: Case) -> object:
    quantizer = case.plan.layers["scale"].output
    return dataclasses.replace(
        quantizer, quant_max=1, quant_min=0, scale=torch.tensor(2.0), zero_point=torch.tensor(0.0)
    )  # type: ignore[type-var]
