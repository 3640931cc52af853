"""The same network through every door gives the same layers and the same figures."""

import copy
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.export import Dim

import qdiag
from qdiag.errors import CaptureError, DataError
from tests.models import KINDS


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU6(inplace=True),
            nn.Conv2d(8, 8, 3, padding=1, groups=8),
            nn.BatchNorm2d(8),
            nn.ReLU(inplace=True),
        )
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.head(self.features(x).mean((2, 3)))
        return y


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(0)
    net = Net().train()
    with torch.no_grad():
        for _ in range(5):
            net(torch.randn(16, 3, 12, 12))
    return net.eval()


IMAGES = torch.randn(12, 3, 12, 12, generator=torch.Generator().manual_seed(3))


def figures(result: qdiag.Measurement) -> list[tuple[str, float, float]]:
    return [(r.kind, r.local.sqnr_db, r.propagated.sqnr_db) for r in result.records]


@pytest.fixture(scope="module")
def expected(net: nn.Module) -> list[tuple[str, float, float]]:
    result = qdiag.measure(net, IMAGES)
    assert result.capture.route == "export"
    assert [r.name for r in result.records] == ["input:x", "features.0", "features.3", "pool", "head"]
    assert result.capture.folded_batchnorms == ("features.1", "features.4")
    return figures(result)


def same(result: qdiag.Measurement, expected: list[tuple[str, float, float]]) -> None:
    for (kind, local, propagated), (other, other_local, other_propagated) in zip(
        figures(result), expected, strict=True
    ):
        assert kind == other
        assert local == pytest.approx(other_local, abs=0.02)
        assert propagated == pytest.approx(other_propagated, abs=0.05)


@pytest.mark.parametrize("how", ["traced", "scripted"])
def test_torchscript(how: str, net: nn.Module, expected: list[tuple[str, float, float]], tmp_path: Path) -> None:
    path = tmp_path / "net.ts"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        script = torch.jit.trace(net, IMAGES[:2]) if how == "traced" else torch.jit.script(net)
        torch.jit.save(script, str(path))
    result = qdiag.measure(qdiag.load_model(path), IMAGES)
    assert result.capture.route == "torchscript"
    assert result.capture.folded_batchnorms == ("features.1", "features.4")
    assert [r.name for r in result.records][1:3] == ["features.0", "features.3"]
    same(result, expected)


@pytest.mark.parametrize("kind", ["residual", "vit_multihead"])
def test_torchscript_whose_inner_sizes_follow_from_the_image_size(kind: str) -> None:
    """Strides and pooling, or reshapes into heads: sizes that must be numbers, not unknowns, at conversion."""
    model, (args, _) = KINDS[kind].build(), KINDS[kind].inputs(6, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(model, args, check_trace=False)
        result = qdiag.measure(traced, args[0])
    assert result.capture.route == "torchscript"
    if kind == "residual":  # tracing takes torch's attention apart, so the other has other layers
        same(result, figures(qdiag.measure(model, args[0])))


@pytest.mark.parametrize("decomposed", [False, True])
def test_pt2(decomposed: bool, net: nn.Module, expected: list[tuple[str, float, float]]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(net, (IMAGES[:2],), dynamic_shapes=({0: Dim("b", min=1, max=64)},))
        if decomposed:
            program = program.run_decompositions()
    result = qdiag.measure(program, IMAGES)
    assert result.capture.route == "exported_program"
    assert len(result.capture.folded_batchnorms) == 2
    same(result, expected)


@pytest.mark.parametrize("decomposed", [False, True])
def test_pt2_saved_in_training_mode_keeps_its_norms_and_its_statistics(decomposed: bool, net: nn.Module) -> None:
    images = torch.rand(4, 3, 16, 16)
    training = copy.deepcopy(net).train()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(
            training, (images,), dynamic_shapes=({0: Dim("batch", min=2, max=512)},), strict=False
        )
        program = program.run_decompositions() if decomposed else program
    before = {name: value.clone() for name, value in program.state_dict.items()}
    result = qdiag.measure(program, images, scheme="int8")
    kept = result.capture.kept_batchnorms
    assert [norm.name for norm in kept] == ["features.1", "features.4"]
    assert all("training mode" in norm.reason for norm in kept)
    assert result.float_ops == ()
    assert all(torch.equal(value, program.state_dict[name]) for name, value in before.items())


def test_pt2_with_a_fixed_batch_is_fed_just_that(net: nn.Module) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(net, (IMAGES[:5],))
    result = qdiag.measure(program, IMAGES)
    assert result.data.measured_count == 10
    assert result.data.batch_size == 5
    assert any("2 samples were left over" in note for note in result.notes)
    with pytest.raises(DataError, match="batches of exactly 5"):
        qdiag.measure(program, IMAGES[:4])


class DataDependent(nn.Module):
    """Export refuses a branch on values; tracing follows the branch that the example takes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.conv(x)
        return y if float(y.sum()) > -1e9 else -y


def test_what_export_refuses_is_traced() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = qdiag.measure(DataDependent().eval(), IMAGES)
    assert result.capture.route == "trace"
    assert [s.route for s in result.capture.skipped] == ["export", "export, static batch"]
    assert all(s.reason for s in result.capture.skipped)


class Random(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.rand_like(x)


def test_a_random_network_is_refused() -> None:
    with pytest.raises(CaptureError, match="network is random"):
        qdiag.measure(Random(), IMAGES)


def test_wrong_channels_are_the_datas_fault(net: nn.Module) -> None:
    with pytest.raises(DataError, match="does not accept inputs of shape") as caught:
        qdiag.measure(net, torch.randn(4, 1, 12, 12))
    assert caught.value.hint is not None


def test_submodule_alone_sees_what_reaches_it(net: nn.Module) -> None:
    from qdiag.subject import Subject

    part = net.get_submodule("features.3")
    subject = Subject(part, "module", "net", "Net", parent=net, submodule="features.3")
    result = qdiag.measure(subject, IMAGES)
    whole = qdiag.measure(net, IMAGES)
    power = result.records[0].local.signal_power
    assert power == pytest.approx(whole.record("features.0").local.signal_power, rel=1e-5)
    assert not part._forward_pre_hooks


def test_torchscript_without_a_graph_is_not_sent_to_a_submodule() -> None:
    model, (args, _) = KINDS["signals"].build(), KINDS["signals"].inputs(4, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(model)
        with pytest.raises(CaptureError, match="could not be turned into a graph") as caught:
            qdiag.measure(scripted, args[0])
    assert "torch.export.save" in str(caught.value.hint)
    assert "`submodule`" not in str(caught.value.hint)
