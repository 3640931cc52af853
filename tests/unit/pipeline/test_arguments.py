"""Inputs that are integers, states that count samples on another axis, and arguments that no data holds."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import qdiag
from qdiag.batches import Batch, Datasets, sample_axis
from qdiag.cli.app import run
from qdiag.errors import ConfigError, DataError
from qdiag.loaders.data.arguments import Zeros, parse_argument, with_arguments
from qdiag.loaders.data.sources import batches_from
from qdiag.pipeline.preparation.fixed_batches import chosen, in_batches_of
from tests.networks.arguments import Pixels, TableLookUp, VoiceActivity
from tests.networks.unusual import Bag


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_values_on_the_command_line() -> None:
    assert parse_argument("sr=16000") == ("sr", 16000)
    assert parse_argument("scale = 0.5") == ("scale", 0.5)
    assert parse_argument("flag=true") == ("flag", True)
    assert parse_argument("mask=none") == ("mask", None)
    assert parse_argument("mode=fast") == ("mode", "fast")
    assert parse_argument("state=zeros(2,N,128)") == ("state", Zeros((2, None, 128)))
    for text in ("sr", "=1", "sr=", "2x=1", "a b=1", "state=zeros(99999,99999)"):
        with pytest.raises(ConfigError):
            parse_argument(text)


def test_arguments_join_every_batch_and_the_digest() -> None:
    data = batches_from([Batch((draw(3, 4),)), Batch((draw(2, 4),))])
    both = with_arguments(Datasets(data, data, ""), ["sr=8000", "state=zeros(2,N,8)"])
    assert both.calibration is both.evaluation
    found = list(both.evaluation)
    assert [b.kwargs["sr"] for b in found] == [8000, 8000]
    assert [tuple(b.kwargs["state"].shape) for b in found] == [(2, 3, 8), (2, 2, 8)]
    assert both.evaluation.digest() != data.digest()
    assert "sr=8000, state=zeros(2,N,8)" in both.evaluation.preprocessing
    other = with_arguments(Datasets(data, data, ""), ["sr=16000", "state=zeros(2,N,8)"])
    assert other.evaluation.digest() != both.evaluation.digest()
    with pytest.raises(ConfigError, match="given twice"):
        with_arguments(Datasets(data, data, ""), ["sr=1", "sr=2"])


def test_where_samples_are_counted() -> None:
    assert sample_axis(torch.zeros(6, 6), 6) == 0
    assert sample_axis(torch.zeros(2, 6, 8), 6) == 1
    assert sample_axis(torch.zeros(2, 6, 6), 6) == 1
    assert sample_axis(torch.zeros(2, 5), 6) is None
    assert sample_axis(torch.zeros(()), 1) is None


def test_batches_are_cut_and_joined_along_the_right_axes() -> None:
    x, state = draw(7, 4), draw(2, 7, 3)
    batch = Batch((x, state), {"sr": 8000})
    part = chosen(batch, [5, 1])
    assert torch.equal(part.args[0], x[[5, 1]])
    assert torch.equal(part.args[1], state[:, [5, 1]])
    assert part.kwargs == {"sr": 8000}
    data = batches_from([batch, Batch((draw(3, 4, seed=1), draw(2, 3, 3, seed=2)), {"sr": 8000})])
    fixed = in_batches_of(Datasets(data, data, ""), 4).evaluation
    found = list(fixed)
    assert [b.sample_count for b in found] == [4, 4]
    assert torch.equal(torch.cat([b.args[1] for b in found], 1), torch.cat([state, draw(2, 3, 3, seed=2)], 1)[:, :8])


def test_fewer_samples_than_the_one_batch_size_are_refused_with_what_to_do() -> None:
    """A few of the samples calibrate, so that many samples may still be too few."""
    calibration, evaluation = (batches_from([Batch((draw(count, 4),))]) for count in (2, 8))
    fixed = in_batches_of(Datasets(calibration, evaluation, ""), 4)
    assert [batch.sample_count for batch in fixed.evaluation] == [4, 4]
    with pytest.raises(
        DataError, match="batches of exactly 4, and there are 2 samples to calibrate or to measure"
    ) as caught:
        list(fixed.calibration)
    assert "each part of them has 4 at least" in str(caught.value.hint)


@pytest.mark.parametrize("count", [2, 3, 6])
def test_a_state_with_another_batch_axis_and_a_rate(count: int) -> None:
    net = VoiceActivity().eval()
    data = [{"x": draw(count, 12, seed=i), "state": draw(2, count, 8, seed=9 + i), "sr": 16000} for i in range(4)]
    result = qdiag.measure(net, data)
    assert [output.name for output in result.outputs] == ["0", "1"]
    assert all(20.0 < output.error.sqnr_db < 60.0 for output in result.outputs)
    assert result.data.measured_count == 4 * count
    assert result.capture.batch_size is None
    slower = qdiag.measure(net, [{**batch, "sr": 8000} for batch in data])
    assert slower.outputs[0].error.signal_power != pytest.approx(result.outputs[0].error.signal_power)


def test_arguments_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "data.npz", x=draw(40, 12).numpy())
    model = f"{Path(__file__).parents[2] / 'networks' / 'arguments.py'}:VoiceActivity"
    command = ["sqnr", model, "--data", str(tmp_path / "data.npz"), "--quiet"]
    assert run([*command, "--arg", "sr=16000", "--arg", "state=zeros(2,N,8)"]) == 0
    assert "sr=16000, state=zeros(2,N,8)" in " ".join(capsys.readouterr().out.split())
    assert run(command) == 2
    assert run([*command, "--arg", "sr"]) == 2
    assert "write NAME=VALUE" in capsys.readouterr().err


def test_integer_images_reach_a_quantizer() -> None:
    pixels = torch.randint(0, 256, (24, 3, 8, 8), dtype=torch.int32)  # of uint8 they would be scaled to 0 and 1
    result = qdiag.measure(Pixels().eval(), pixels)
    first, conv = result.records[:2]
    assert (first.ops, first.quantizer is not None, conv.inputs) == (("to",), True, (first.name,))
    same = qdiag.measure(Pixels().eval(), pixels.long())
    assert same.outputs[0].error.sqnr_db == pytest.approx(result.outputs[0].error.sqnr_db, abs=1e-6)


@pytest.mark.parametrize("network", [Bag, TableLookUp])
def test_what_is_looked_up_behind_integer_arithmetic_is_quantized(network: type[nn.Module]) -> None:
    result = qdiag.measure(network().eval(), torch.randint(0, 20, (24, 6)))
    assert result.record("fc").weight is not None
    assert result.records[0].quantizer is not None
    assert result.record("fc").inputs == (result.records[-2].name,)


def test_a_layer_is_kept_in_float_by_every_name_in_the_table() -> None:
    data = torch.rand(24, 3, 8, 8)
    names = [record.name for record in qdiag.measure(Pixels().eval(), data).records]
    assert names[0].startswith("input:")
    for name in names:
        scheme = qdiag.load_scheme("int8", [f'float_layers=["{name}"]'])
        record = qdiag.measure(Pixels().eval(), data, scheme=scheme).record(name)
        assert record.skip_reason == "kept in float by the scheme"


def test_names_with_signs_of_a_pattern() -> None:
    net = nn.ModuleDict({"a[0]": nn.Linear(4, 4), "b": nn.Linear(4, 3)})

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = net

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.parts["b"](self.parts["a[0]"](x))
            return y

    name = next(r.name for r in qdiag.measure(Net().eval(), draw(16, 4)).records if "a[0]" in r.name)
    scheme = qdiag.load_scheme("int8", [f'float_layers=["{name}"]'])
    assert qdiag.measure(Net().eval(), draw(16, 4), scheme=scheme).record(name).weight is None


def test_one_element_of_stride_zero() -> None:
    """In the data, among the parameters, and in what a layer expands."""

    class One(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(1, 4)
            self.gain = nn.Parameter(torch.tensor(2.0).expand(1))

        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(self.fc(x * self.gain).sum(1, keepdim=True).expand(-1, 3) + 5.0)

    singles = [torch.tensor(float(i)).expand(1, 1) for i in range(1, 5)]
    assert qdiag.measure(One().eval(), singles).data.measured_count == 4
    assert qdiag.measure(One().eval(), torch.tensor(1.0).expand(6, 1)).data.measured_count == 6
