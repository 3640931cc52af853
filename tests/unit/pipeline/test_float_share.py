"""What stays in float is told in the header of a diagnosis, with its share of the weights and multiplications."""

import io

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

import qdiag
from qdiag.cli.tables.ranking import print_ranking

SEQUENCES = torch.randn(48, 10, 8, generator=torch.Generator().manual_seed(0))


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase], layers: int, directions: int) -> None:
        super().__init__()
        self.rnn = kind(8, 16, num_layers=layers, bidirectional=directions == 2, batch_first=True)
        self.head = nn.Linear(16 * directions, 5)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.rnn(x)[0][:, -1])
        return y


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
@pytest.mark.parametrize(("layers", "directions"), [(1, 1), (2, 2)])
def test_shares_of_a_recurrence(kind: type[nn.RNNBase], gates: int, layers: int, directions: int) -> None:
    torch.manual_seed(0)
    network = Recurrent(kind, layers, directions).eval()
    result = qdiag.diagnose(network, SEQUENCES)
    later = (layers - 1) * directions * gates * 16 * (16 * directions + 16)
    recurrent = directions * gates * 16 * (8 + 16) + later
    head = 16 * directions * 5
    (op,) = result.measurement.float_ops
    assert op.weight_fraction == pytest.approx(recurrent / (recurrent + head))
    assert result.layer_facts("rnn").mac_count == 10 * recurrent
    assert result.layer_facts("head").mac_count == head
    console = Console(file=io.StringIO(), width=200)
    print_ranking(console, result)
    assert isinstance(console.file, io.StringIO)
    weights, products = 100 * recurrent / (recurrent + head), 100 * 10 * recurrent / (10 * recurrent + head)
    told = f"1 operation not quantized, with {weights:.0f} % of the weights and {products:.0f} % of the multiplications"
    assert told in console.file.getvalue()


def test_a_layer_kept_in_float_has_its_share() -> None:
    network = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)).eval()
    scheme = qdiag.load_scheme("int8", ['float_layers=["2"]'])
    (op,) = qdiag.measure(network, torch.randn(16, 8), scheme=scheme).float_ops
    assert op.weight_fraction == pytest.approx(64 / (64 + 128))
