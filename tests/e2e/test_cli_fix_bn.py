"""`qdiag fix-bn` from the outside: on the network that comes with the package, and on real weights."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from qdiag.cli.app import run
from qdiag.core.causes.repair import ModelRepair
from qdiag.demo_assets import DEMO_ARCH, DEMO_PRESET, demo_data_path, demo_model_path
from qdiag.loaders.models.formats import load_subject
from tests.figures import agreeing, top1_of
from tests.stored import read_back
from tests.unit.loaders import model_files
from tests.unit.loaders.model_files import SmallNet, trained_net

MODEL = str(demo_model_path())
DATA = ["--arch", DEMO_ARCH, "--data", str(demo_data_path()), "--preset", DEMO_PRESET, "--device", "cpu"]


def result_of(path: Path) -> ModelRepair:
    return read_back(ModelRepair, path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("method", ["mean", "constant"])
def test_the_demo_network_is_repaired(method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fixed, report = tmp_path / "fixed.safetensors", tmp_path / "fix.json"
    original = demo_model_path().read_bytes()
    arguments = [MODEL, "-o", str(fixed), *DATA, "--samples", "128", "--method", method, "--json", str(report)]
    assert run(["fix-bn", *arguments]) == 0
    assert demo_model_path().read_bytes() == original
    fix = result_of(report)
    assert (fix.dead_count, fix.fixed_count) == (18, 18)
    assert fix.float_change is not None
    assert agreeing(fix.float_change.task) == 128
    assert fix.before is not None
    assert top1_of(fix.before.task) is not None
    assert top1_of(fix.before.task).simulated_percent < 25.0
    assert fix.after is not None
    assert top1_of(fix.after.task) is not None
    assert top1_of(fix.after.task).simulated_percent > 95.0
    old, new = safetensors.torch.load_file(MODEL), safetensors.torch.load_file(fixed)
    assert list(old) == list(new)
    changed = {name.rpartition(".")[2] for name in old if not torch.equal(old[name], new[name])}
    assert changed == {"running_var" if method == "mean" else "weight"}
    out = capsys.readouterr().out
    assert "18 dead channels are repaired in 8 BatchNorms" in out
    assert "blocks.1.dw_bn" in out
    assert "Harmless" not in out


def test_a_dry_run_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "net.safetensors"
    model.write_bytes(demo_model_path().read_bytes())
    assert run(["fix-bn", str(model), "--dry-run", "--eps", "1e-3", "-o", str(tmp_path / "fixed.safetensors")]) == 0
    assert "18 dead channels would be repaired" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["net.safetensors"]
    assert model.read_bytes() == demo_model_path().read_bytes()


def test_weights_alone_are_repaired_without_proof(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = safetensors.torch.load_file(MODEL)
    source, fixed = tmp_path / "last.ckpt", tmp_path / "fixed.ckpt"
    torch.save({"epoch": 7, "state_dict": {f"module.{name}": value for name, value in state.items()}}, source)
    assert run(["fix-bn", str(source), "-o", str(fixed)]) == 2
    assert "--no-proof" in capsys.readouterr().err
    arguments = ["fix-bn", str(source), "-o", str(fixed), "--no-proof", "--eps", "1e-3"]
    assert run([*arguments, "--layers", "*.blocks.1.dw_bn"]) == 0
    out = capsys.readouterr().out
    assert "the network was not run" in out
    assert "0.001 is assumed" in out
    after = torch.load(fixed, weights_only=True)
    assert after["epoch"] == 7
    for name, value in state.items():
        expected = value
        if name == "blocks.1.dw_bn.running_var":
            live = [c for c in range(16) if c not in (7, 12)]
            expected = value.clone()
            expected[[7, 12]] = value[live].mean()
        assert torch.allclose(after["state_dict"][f"module.{name}"], expected, rtol=1e-6, atol=0.0), name


def test_in_place_and_what_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, other = tmp_path / "net.safetensors", tmp_path / "other.safetensors"
    original = demo_model_path().read_bytes()
    model.write_bytes(original)
    other.write_bytes(b"precious")
    base = ["fix-bn", str(model), "--no-proof", "--eps", "1e-3"]
    for arguments, word in (
        ([*base], "--dry-run"),
        ([*base, "-o", str(model)], "--in-place"),
        ([*base, "-o", str(model), "--force"], "--in-place"),
        ([*base, "-o", str(other)], "--force"),
        ([*base, "-o", str(other), "--in-place"], "exclude each other"),
        ([*base, "-o", str(tmp_path / "none" / "f.safetensors")], "mkdir"),
        ([*base, "-o", str(other), "--force", "--layers", "head*"], "blocks.0.dw_bn"),
    ):
        assert run(arguments) == 2, arguments
        assert word in capsys.readouterr().err, arguments
    assert model.read_bytes() == original
    assert other.read_bytes() == b"precious"
    assert run([*base, "--in-place"]) == 0
    assert model.read_bytes() != original
    assert run([*base, "-o", str(other), "--force"]) == 0
    assert "nothing is repaired, and nothing is written" in capsys.readouterr().out
    assert other.read_bytes() == b"precious"


def test_json_alone_on_stdout(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(["fix-bn", MODEL, "--dry-run", "--eps", "1e-3", "--json", "-", "--quiet"]) == 0
    captured = capfdbinary.readouterr()
    assert captured.err == b""
    fix = read_back(ModelRepair, captured.out.decode())
    assert fix.fixed_count == 18
    assert fix.unproved is not None


def dead_net() -> SmallNet:
    """Channel 2 of four sees nothing and has no variance."""
    net = trained_net()
    with torch.no_grad():
        net.backbone[0].weight[2] = 0.0
        net.backbone[1].running_mean[2] = net.backbone[0].bias[2]
        net.backbone[1].running_var[2] = 1e-30
    return net


WRITERS: dict[str, tuple[Callable[[torch.nn.Module, Path], None], list[str]]] = {
    "scripted": (model_files.write_scripted, []),
    "traced": (model_files.write_traced, []),
    "exported": (model_files.write_exported, []),
    "pickled": (model_files.write_module, ["--trust"]),
    "state dict": (model_files.write_state_dict, ["--arch", model_files.ARCH]),
    "submodule": (model_files.write_module, ["--trust", "--submodule", "backbone"]),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_is_repaired_and_proved(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write, options = WRITERS[name]
    source, fixed, report = tmp_path / "net", tmp_path / "fixed", tmp_path / "fix.json"
    write(dead_net(), source)
    inputs = np.random.default_rng(0).normal(size=(16, 3, 8, 8)).astype(np.float32)
    np.save(tmp_path / "x.npy", inputs)
    data = ["--data", str(tmp_path / "x.npy"), "--device", "cpu"]
    assert run(["fix-bn", str(source), "-o", str(fixed), *options, *data, "--json", str(report)]) == 0
    fix = result_of(report)
    assert [(layer.name.removeprefix("backbone."), layer.fixed_count) for layer in fix.batchnorms] == [("1", 1)]
    assert fix.float_change is not None
    assert fix.float_change.relative_delta < 1e-6
    assert fix.after is not None
    assert "1 dead channel is repaired in 1 BatchNorm" in capsys.readouterr().out
    arch = model_files.ARCH if name == "state dict" else None
    after = load_subject(fixed, arch=arch, trust=True).model
    variance = dict(after.named_buffers())["backbone.1.running_var"]
    expected = dead_net().backbone[1].running_var
    expected[2] = expected[[0, 1, 3]].mean()
    assert torch.allclose(variance, expected)


def test_a_frozen_program_has_no_batchnorm_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "net.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.freeze(torch.jit.script(dead_net().eval())), str(source))
    assert run(["fix-bn", str(source), "-o", str(tmp_path / "fixed.pt"), "--no-proof"]) == 0
    assert "nothing is written" in capsys.readouterr().out
    assert not (tmp_path / "fixed.pt").exists()


@pytest.mark.real
def test_harmless_dead_channels_stay_harmless(
    real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, report = str(real_data / "mobilenet_v1_0.25_vww96.safetensors"), tmp_path / "fix.json"
    arch = "zoo:mobilenet_v1?width=0.25&classes=2&activation=relu&conv_bias=true"
    arguments = ["--arch", arch, "--data", str(real_data / "vww96_600.npz"), "--json", str(report)]
    assert run(["fix-bn", model, "-o", str(tmp_path / "fixed.safetensors"), *arguments]) == 0
    fix = result_of(report)
    assert (fix.fixed_count, len(fix.refused_channels)) == (1540, 0)
    assert fix.float_change is not None
    assert fix.float_change.relative_delta < 1e-5
    assert fix.before is not None
    assert fix.after is not None
    assert top1_of(fix.before.task) is not None
    assert top1_of(fix.after.task) is not None
    assert abs(top1_of(fix.after.task).drop_pp - top1_of(fix.before.task).drop_pp) < 2.0
    said = " ".join(capsys.readouterr().out.split())
    judged = fix.before.task.judged
    assert judged is not None and judged.loss_interval.low <= 0.0 < judged.limit < judged.loss_interval.high
    assert "The samples are too few to tell whether there was any harm: before the repair the" in said
    assert "Harmless" not in said


@pytest.mark.real
@pytest.mark.parametrize("name", ["resnet20_cifar10", "resnet56_cifar10"])
def test_silent_on_healthy_networks(name: str, real_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fix-bn", str(real_data / f"{name}.safetensors"), "--dry-run"]) == 0
    assert "No BatchNorm channel is dead" in capsys.readouterr().out


@pytest.mark.real
def test_dead_channels_that_set_no_range_change_none(
    real_data: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run(["fix-bn", str(real_data / "nin_cifar10.safetensors"), "--dry-run", "--json", "-", "-q"]) == 0
    fix = read_back(ModelRepair, capfdbinary.readouterr().out.decode())
    assert fix.dead_count > 0
    assert all(layer.folded_max_abs_after == layer.folded_max_abs_before for layer in fix.batchnorms)
