"""A product with a constant matrix is a linear layer, whichever way round the matrix is stored."""

import io
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import qdiag
from qdiag.core.measures.measurement import Measurement
from qdiag.core.scheme import QuantScheme
from qdiag.repairs.base import RepairContext
from qdiag.repairs.table import REPAIRS
from qdiag.subject import Subject
from tests.cases import SESSION, open_test_case

X = torch.randn(8, 5, 12, generator=torch.Generator().manual_seed(1))


class Conv1D(nn.Module):
    """GPT-2's: the weight as (inputs, outputs)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(inputs, outputs) / 4.0), nn.Parameter(torch.randn(outputs))

    def forward(self, x: Tensor) -> Tensor:
        flat = torch.addmm(self.bias, x.reshape(-1, x.size(-1)), self.weight)
        return flat.view(*x.shape[:-1], self.weight.shape[1])


class Matrix(Conv1D):
    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight


class Plain(Conv1D):
    """The same as `nn.Linear`."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.weight = nn.Parameter(self.weight.detach().T.contiguous())

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight, self.bias)


class PlainMatrix(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight)


def network(layer: type[Conv1D]) -> nn.Sequential:
    """The widths of the outputs are far apart, so that scales per channel differ from scales per input."""
    torch.manual_seed(0)
    net = nn.Sequential(layer(12, 10), nn.GELU(), layer(10, 6)).eval()
    with torch.no_grad():
        weight = net[0].weight
        outputs = torch.logspace(-2, 1, 10)
        weight *= outputs[:, None] if issubclass(layer, Plain) else outputs
    return net


def exported(net: nn.Module) -> object:
    return torch.export.export(net, (X,))


def scripted(net: nn.Module) -> object:
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.trace(net, X), buffer)  # type: ignore[no-untyped-call]
    buffer.seek(0)
    return Subject(torch.jit.load(buffer).eval(), "torchscript", "net.ts", "Net")  # type: ignore[no-untyped-call]


def figures(result: Measurement) -> dict[str, tuple[float, ...]]:
    return {
        record.name: (record.local.sqnr_db, record.weight.error.sqnr_db, record.weight.channel_sqnr_db_median)
        for record in result.records
        if record.weight is not None
    }


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize(("layer", "plain_layer"), [(Conv1D, Plain), (Matrix, PlainMatrix)])
@pytest.mark.parametrize("scheme", ["int8", "tf-uint8"])
@pytest.mark.parametrize("form", [lambda net: net, exported, scripted], ids=["module", "exported", "scripted"])
def test_it_is_measured_as_the_linear_layer_that_it_is(
    layer: type[Conv1D], plain_layer: type[Conv1D], scheme: str, form: Callable[[nn.Module], object]
) -> None:
    found = qdiag.measure(form(network(layer)), X, scheme=scheme)  # type: ignore[arg-type]
    expected = figures(qdiag.measure(network(plain_layer), X, scheme=scheme))
    measured = figures(found)
    assert len(measured) == len(expected) == 2
    if form is not scripted:
        assert list(measured) == list(expected) == ["0", "2"]
    for mine, plain in zip(measured.values(), expected.values(), strict=True):
        assert mine == pytest.approx(plain, abs=0.05)
    weights = [record.weight for record in found.records if record.weight is not None]
    assert [weight.shape for weight in weights] == [(10, 12), (6, 10)]


def test_a_matrix_of_the_data_stays_an_operand() -> None:
    class Two(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return a @ b

    batches = [{"a": torch.randn(4, 3, 6), "b": torch.randn(4, 6, 5)}]
    records = {record.name: record for record in qdiag.measure(Two(), batches).records}
    assert [record.kind for record in records.values()] == ["input", "input", "matmul"]
    assert all(record.weight is None for record in records.values())


def test_what_a_checkpoint_holds_keeps_its_shape() -> None:
    """A repair that would write a weight says that it is computed; corrected biases fit theirs."""
    net = network(Conv1D)
    case = open_test_case(net, X, QuantScheme())
    assert {name: tuple(value.shape) for name, value in case.tensors.items()} == {
        name: tuple(value.shape) for name, value in net.named_parameters()
    }
    treated = REPAIRS["correct_bias"].apply(case, (), RepairContext(session=SESSION))
    shapes = {name: tuple(value.shape) for name, value in net.named_parameters()}
    assert all(tuple(value.shape) == shapes[name] for name, value in treated.tensors.items())
