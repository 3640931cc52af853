"""What stays in float is told in the header of a diagnosis, with its share of the weights and multiplications."""

import io
import json

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

import qdiag
from qdiag.cli.tables.ranking import print_ranking
from qdiag.core.measures.float_ops import FloatShare
from qdiag.reading.words.float_ops import float_op_words, float_share_warning
from qdiag.writers.html.report import html_report
from qdiag.writers.markdown.report import markdown_report
from tests.diagnoses import doubtful_diagnosis

STEPS = 3
SEQUENCES = torch.randn(48, STEPS, 8, generator=torch.Generator().manual_seed(0))


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
    result = qdiag.diagnose(network, SEQUENCES, with_sensitivity=False, with_bits=False)
    later = (layers - 1) * directions * gates * 16 * (16 * directions + 16)
    recurrent = directions * gates * 16 * (8 + 16) + later
    head = 16 * directions * 5
    (op,) = result.measurement.float_ops
    assert op.weight_fraction == pytest.approx(recurrent / (recurrent + head))
    assert result.layer_facts("rnn").mac_count == STEPS * recurrent
    assert result.layer_facts("head").mac_count == head
    console = Console(file=io.StringIO(), width=200)
    print_ranking(console, result)
    assert isinstance(console.file, io.StringIO)
    weights, products = 100 * recurrent / (recurrent + head), 100 * STEPS * recurrent / (STEPS * recurrent + head)
    told = f"1 operation not quantized, with {weights:.0f} % of the weights and {products:.0f} % of the multiplications"
    assert told in console.file.getvalue()
    share = result.measurement.float_share
    assert share == FloatShare(op.weight_fraction, op.mac_fraction)
    assert op.mac_fraction == pytest.approx(products / 100)
    (warning,) = {float_share_warning(result.measurement)}
    assert warning == (
        f"{weights:.0f} % of the weights and {products:.0f} % of the multiplications stay in float, more than a tenth: "
        "this is not the network that will run, unless these operations stay in float there too"
    )
    for surface in (console.file.getvalue(), markdown_report(result), html_report(result)):
        assert warning in " ".join(surface.replace("&#39;", "'").split())


def test_a_layer_kept_in_float_has_its_share() -> None:
    network = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)).eval()
    scheme = qdiag.load_scheme("int8", ['float_layers=["2"]'])
    (op,) = qdiag.measure(network, torch.randn(16, 8), scheme=scheme).float_ops
    assert op.weight_fraction == pytest.approx(64 / (64 + 128))
    assert op.mac_fraction == pytest.approx(64 / (64 + 128))


class Tied(nn.Module):
    """One matrix read by two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 40)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(torch.relu(self.second(torch.relu(self.first(x)))))
        return y


def test_weights_that_two_layers_share_count_once_and_their_multiplications_twice() -> None:
    names = [layer.name for layer in qdiag.measure(Tied().eval(), torch.randn(16, 8)).records if layer.weight]
    kept = json.dumps(names[:2])
    result = qdiag.measure(
        Tied().eval(), torch.randn(16, 8), scheme=qdiag.load_scheme("int8", [f"float_layers={kept}"])
    )
    assert len(result.float_ops) == 2
    assert result.float_share.weight_fraction == pytest.approx(64 / (64 + 320))
    assert result.float_share.mac_fraction == pytest.approx(128 / (128 + 320))


@pytest.mark.parametrize(("outputs", "is_told"), [(71, True), (73, False)])
def test_a_tenth_is_the_limit(outputs: int, is_told: bool) -> None:
    network = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, outputs)).eval()
    result = qdiag.measure(network, torch.randn(16, 8), scheme=qdiag.load_scheme("int8", ['float_layers=["0"]']))
    assert result.float_share.weight_fraction == pytest.approx(8 / (8 + outputs))
    assert (float_share_warning(result) is not None) is is_told
    assert result.float_share.is_beyond_limit is is_told


def test_nothing_in_float_has_no_share() -> None:
    result = qdiag.measure(nn.Sequential(nn.Linear(8, 4)).eval(), torch.randn(16, 8))
    assert result.float_share == FloatShare() and float_share_warning(result) is None


def test_several_reasons_are_told_apart_and_together() -> None:
    lines = float_op_words(doubtful_diagnosis().measurement)
    assert [line.partition(":")[0] for line in lines] == [
        "1 operation not quantized, with 31 % of the weights and 42 % of the multiplications",
        "1 operation not quantized, with 11 % of the weights",
        "2 operations in all, with 42 % of the weights and 42 % of the multiplications",
    ]
