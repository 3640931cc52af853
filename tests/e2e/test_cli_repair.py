"""`qdiag repair` from the outside: a checkpoint with repaired weights, its proof, and what is refused."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from qdiag.cli.app import run
from qdiag.core.causes.repair import ModelRepair
from qdiag.demo_assets import DEMO_ARCH, DEMO_PRESET, demo_data_path, demo_model_path
from qdiag.loaders.models.formats import load_subject
from qdiag.writers.json.results import result_to_json
from tests.figures import top1_of
from tests.stored import read_back

MODEL = str(demo_model_path())
DATA = ["--arch", DEMO_ARCH, "--data", str(demo_data_path()), "--preset", DEMO_PRESET, "--device", "cpu"]
DATA += ["--samples", "96", "--calib-samples", "64"]

NET = """
import torch
from torch import nn

def net():
    torch.manual_seed(0)
    made = nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.{activation}(), nn.Flatten(), nn.Linear(8 * 36, 5),
    ).eval()
    factors = 2.0 ** torch.linspace(-5, 5, 8)
    with torch.no_grad():
        made[1].weight.mul_(factors)
        made[1].bias.copy_(0.3 * factors)
        made[3].weight.div_(factors.view(-1, 1, 1, 1))
    return made
"""


@pytest.fixture
def planted(tmp_path: Path) -> list[str]:
    """The options of a network whose channels are very unequal, and of its data."""
    (tmp_path / "made.py").write_text(NET.replace("{activation}", "ReLU"), encoding="utf-8")
    x = torch.randn(48, 3, 8, 8, generator=torch.Generator().manual_seed(1)).numpy()
    np.savez(tmp_path / "data.npz", x=x)
    return ["--data", str(tmp_path / "data.npz"), "--calib-samples", "16", "--device", "cpu"]


def result_of(path: Path) -> ModelRepair:
    return read_back(ModelRepair, path.read_text(encoding="utf-8"))


def test_a_planted_imbalance_is_repaired_and_written(
    planted: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)  # test processes set it, and a narrow table drops a column
    model, fixed, report = f"{tmp_path}/made.py:net", tmp_path / "fixed.pt", tmp_path / "repair.json"
    assert run(["repair", model, "--with", "equalize", "-o", str(fixed), "--json", str(report), *planted]) == 0
    out = capsys.readouterr().out
    assert "ranges equalized across layers" in out
    assert f"The repaired network (equalize) is written to {fixed}." in out
    result = result_of(report)
    (step,) = result.steps
    assert (step.repair, step.refused, step.headroom) == ("equalize", None, None)
    assert step.relative_delta < 1e-5
    assert set(step.layers) == {"0", "3", "6"}
    assert result.before is not None
    assert result.after is not None
    assert result.after.outputs[0].error.sqnr_db > result.before.outputs[0].error.sqnr_db + 10.0
    assert read_back(ModelRepair, result_to_json(result)) == result
    # the file computes what the network computed, and is what was measured
    old = load_subject(model).model
    new = load_subject(str(fixed), arch=model).model
    assert callable(old)
    assert callable(new)
    x = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        assert torch.allclose(new(x), old(x), rtol=1e-4, atol=1e-5)
    state, before = torch.load(fixed, weights_only=True), old.state_dict()  # type: ignore[union-attr]
    assert {name for name, value in state.items() if not torch.equal(value, before[name])} == set(step.tensors)
    # read again, nothing is left to do
    again = ["repair", str(fixed), "--arch", model, "--with", "equalize", "-o", str(tmp_path / "again.pt"), *planted]
    assert run(again) == 1
    out = capsys.readouterr().out
    assert "as equal as they can be made" in out
    assert "nothing is written" in out
    assert not (tmp_path / "again.pt").exists()


def test_repairs_on_top_of_each_other_on_the_demo_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fixed, report = tmp_path / "fixed.safetensors", tmp_path / "repair.json"
    original = demo_model_path().read_bytes()
    arguments = [MODEL, "-o", str(fixed), *DATA, "--with", "reset_variance_mean,equalize", "--json", str(report)]
    assert run(["repair", *arguments]) == 0
    assert demo_model_path().read_bytes() == original
    result = result_of(report)
    assert [step.repair for step in result.steps] == ["reset_variance_mean", "equalize"]
    assert result.steps[0].refused is None
    assert result.float_change is not None
    assert result.float_change.relative_delta <= 1e-3
    for before_after, low, high in ((result.before, 0.0, 25.0), (result.after, 95.0, 100.0)):
        assert before_after is not None
        assert top1_of(before_after.task) is not None
        assert low <= top1_of(before_after.task).simulated_percent <= high
    old, new = safetensors.torch.load_file(MODEL), safetensors.torch.load_file(fixed)
    assert list(old) == list(new)
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    assert changed == {name for step in result.made for name in step.tensors}
    assert "reset_variance_mean" in capsys.readouterr().out


def test_a_repair_that_moves_the_float_output_is_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fixed = tmp_path / "fixed.safetensors"
    base = ["repair", MODEL, "-o", str(fixed), *DATA, "--float-bound", "0"]
    assert run([*base, "--with", "equalize"]) == 1
    out = capsys.readouterr().out
    assert "equalize was refused: it moves the float output by" in out
    assert "No repair was made, so nothing is written." in out
    assert not fixed.exists()


def test_layers_by_pattern(planted: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, fixed = f"{tmp_path}/made.py:net", tmp_path / "fixed.pt"
    base = ["repair", model, "-o", str(fixed), *planted]
    assert run([*base, "--with", "equalize", "--layers", "nothing*"]) == 2
    assert "they are called 0, 3, 6" in capsys.readouterr().err
    assert run([*base, "--with", "reset-variance-mean", "--layers", "3"]) == 1
    assert "no BatchNorm there has a dead channel" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("replace_relu6", ("is code", "replace nn.ReLU6 by nn.ReLU")),
        ("equalize,replace_relu6", ("is code", "nn.ReLU")),
        ("correct_bias,equalize", ("comes last", "name it at the end")),
        ("per_channel_weights", ("how the network is quantized", "--set")),
        ("equalise", ("there is no repair 'equalise'", "equalize")),
        ("equalize,equalize", ("given twice", "once")),
        (",", ("no repair is named", "equalize")),
    ],
)
def test_what_no_checkpoint_can_hold(
    names: str, words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fixed = tmp_path / "fixed.safetensors"
    assert run(["repair", MODEL, "--with", names, "-o", str(fixed), *DATA]) == 2
    error = capsys.readouterr().err
    assert all(word in error for word in words)
    assert not fixed.exists()


def test_in_place_and_what_would_be_lost(
    planted: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, model = f"{tmp_path}/made.py:net", tmp_path / "net.pt"
    network = load_subject(code).model
    state: dict[str, Tensor] = network.state_dict()  # type: ignore[union-attr]
    torch.save(state, model)
    original = model.read_bytes()
    base = ["repair", str(model), "--arch", code, "--with", "equalize", *planted]
    for arguments, word in (
        (base, "give -o FIXED or --in-place"),
        ([*base, "-o", str(model)], "--in-place"),
        ([*base, "-o", str(tmp_path / "other.pt"), "--in-place"], "exclude each other"),
    ):
        assert run(arguments) == 2
        assert word in capsys.readouterr().err
    assert model.read_bytes() == original
    assert run([*base, "--in-place"]) == 0
    assert model.read_bytes() != original


def test_json_alone_on_stdout(planted: list[str], tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    fixed = tmp_path / "fixed.pt"
    arguments = ["repair", f"{tmp_path}/made.py:net", "--with", "equalize", "-o", str(fixed), *planted]
    assert run([*arguments, "--json", "-", "--quiet"]) == 0
    captured = capfdbinary.readouterr()
    assert captured.err == b""
    assert json.loads(captured.out)["steps"][0]["repair"] == "equalize"
    assert read_back(ModelRepair, captured.out.decode()).written_to == str(fixed)


@pytest.mark.parametrize("suffix", ["pt2", "ts", "ckpt"])
def test_the_format_that_was_read_is_written(
    suffix: str, planted: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, source, fixed = f"{tmp_path}/made.py:net", tmp_path / f"net.{suffix}", tmp_path / f"fixed.{suffix}"
    net = load_subject(code).model
    assert isinstance(net, torch.nn.Module)
    x = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(5))
    arch = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if suffix == "pt2":
            batch = {"input": {0: torch.export.Dim("batch")}}
            torch.export.save(torch.export.export(net, (x,), dynamic_shapes=batch), source)
        elif suffix == "ts":
            torch.jit.save(torch.jit.trace(net, x), source)  # type: ignore[no-untyped-call]
        else:
            torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in net.state_dict().items()}}, source)
            arch = ["--arch", code]
    assert run(["repair", str(source), "--with", "equalize", "-o", str(fixed), *arch, *planted]) == 0
    assert "The repaired network (equalize) is written to" in capsys.readouterr().out
    subject = load_subject(str(fixed), arch=code if arch else None)
    assert subject.format == load_subject(str(source), arch=code if arch else None).format
    model = subject.model
    new = model if isinstance(model, torch.nn.Module) else model.module()
    with torch.no_grad():
        assert torch.allclose(new(x), net(x), rtol=1e-4, atol=1e-5)


def test_a_bias_correction_is_written_when_the_float_network_may_move(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fixed, report = tmp_path / "fixed.safetensors", tmp_path / "repair.json"
    command = ["repair", MODEL, "--with", "reset_variance_mean,correct_bias", "-o", str(fixed), *DATA]
    command += ["--set", "weights.bits=5"]
    assert run([*command, "--json", str(report)]) == 0
    out = capsys.readouterr().out
    assert "--float-bound" in out
    first = result_of(report)
    assert [step.refused is None for step in first.steps] == [True, False]
    assert run([*command, "--force", "--float-bound", "1", "--json", str(report)]) == 0
    second = result_of(report)
    assert [step.refused for step in second.steps] == [None, None]
    assert second.float_change is not None and second.float_change.relative_delta > 1e-3
    assert first.after is not None and second.after is not None
    lost, kept = first.after.outputs[0].error.sqnr_db, top1_of(second.after.task)
    assert kept is not None and top1_of(first.after.task) is not None
    # labels judge both: the float network that the second one is compared with is another
    assert kept.simulated_percent >= top1_of(first.after.task).simulated_percent - 2.0
    assert lost == lost
    changed = safetensors.torch.load_file(fixed)
    original = safetensors.torch.load_file(MODEL)
    assert {name.rpartition(".")[2] for name in changed if not torch.equal(changed[name], original[name])} <= {
        "bias",
        "running_var",
    }


BRANCHED = """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.wide, self.norm = nn.Conv2d(6, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.thin = nn.Conv2d(6, 6, 1)

    def forward(self, x):
        return (self.norm(self.wide(x)) + self.thin(x) + x).relu()

def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), Block(), nn.Flatten(), nn.Linear(216, 5)).eval()
"""


def test_fused_branches_are_written_as_a_program(
    planted: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "branched.py").write_text(BRANCHED, encoding="utf-8")
    fused = tmp_path / "fused.pt2"
    command = ["repair", f"{tmp_path}/branched.py:net", "--with", "fuse_branches", *planted]

    assert run(["repair", str(tmp_path / "branched.py"), "--with", "fuse_branches", "--in-place", *planted]) == 2
    assert "network of other layers" in capsys.readouterr().err
    assert run([*command, "-o", str(fused), "--json", str(tmp_path / "result.json")]) == 0

    (step,) = result_of(tmp_path / "result.json").steps
    assert (step.layers, step.refused) == (("2.reparam",), None)
    assert "2.reparam" in capsys.readouterr().out
    assert "2.reparam.weight" in torch.export.load(fused).state_dict
