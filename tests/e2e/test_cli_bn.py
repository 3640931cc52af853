"""`qdiag bn` on files, from the command line to what is written."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from qdiag.cli.app import run
from qdiag.core.measures.bn import BatchNormAudit
from tests.models import KINDS
from tests.stored import read_back

NAME = "depthwise_separable"


@pytest.fixture(scope="module")
def network() -> nn.Module:
    model = KINDS[NAME].build()
    norm = next(m for m in model.modules() if isinstance(m, nn.BatchNorm2d) and m.num_features >= 4)
    assert norm.running_var is not None
    norm.running_var[3] = 0.0
    return model


def write(model: nn.Module, form: str, folder: Path) -> Path:
    path = folder / f"net.{form}"
    inputs, _ = KINDS[NAME].inputs(2, 0)
    match form:
        case "pt2":
            torch.export.save(torch.export.export(model, inputs), path)
        case "ts":
            torch.jit.save(torch.jit.script(model), path)
        case "pth":
            torch.save(model.state_dict(), path)
        case "ckpt":
            torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in model.state_dict().items()}}, path)
        case "pickle":
            torch.save(model, path)
        case "safetensors":
            save_file(dict(model.state_dict()), path)
    return path


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("form", ["pt2", "ts", "pth", "ckpt", "pickle", "safetensors"])
def test_every_format_gives_the_same_audit(
    form: str, network: nn.Module, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(network, form, tmp_path)
    options = ["--trust"] if form == "pickle" else []
    assert run(["bn", str(path), *options, "--json", str(tmp_path / "bn.json")]) == 0
    assert "channel 3 alone costs the" in capsys.readouterr().out
    audit = read_back(BatchNormAudit, (tmp_path / "bn.json").read_text(encoding="utf-8"))
    assert audit.dead_count == 1
    assert len(audit.records) == 6
    certain = all(r.layer is not None and r.layer.certainty == "certain" for r in audit.records)
    assert certain is (form in ("pt2", "ts", "pickle"))


def test_table_csv_and_picture(network: nn.Module, tmp_path: Path) -> None:
    path = write(network, "pth", tmp_path)
    csv, plot = tmp_path / "bn.csv", tmp_path / "bn.png"
    assert run(["bn", str(path), "--csv", str(csv), "--plot", str(plot), "--bits", "4", "--eps", "1e-3"]) == 0
    frame = pd.read_csv(csv)
    assert frame["dead"].notna().sum() == 1
    assert frame["effective_bits"].max() == 4.0
    assert set(frame["eps"]) == {1e-3}
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_part_of_a_network(network: nn.Module, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(network, "pth", tmp_path)
    norms = [name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)]
    part = norms[-1].rpartition(".")[0]
    assert run(["bn", str(path), "--submodule", part, "--json", "-"]) == 0
    names = [record["name"] for record in json.loads(capsys.readouterr().out)["records"]]
    assert [f"{part}.{name}" for name in names] == [name for name in norms if name.startswith(f"{part}.")]
    assert run(["bn", str(path), "--submodule", "nowhere"]) == 2
    assert "no tensor below 'nowhere'" in capsys.readouterr().err


def test_what_cannot_be_judged_is_refused(
    network: nn.Module, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = dict(network.state_dict())
    key = next(k for k in state if k.endswith("running_var"))
    torch.save({**state, key: torch.full_like(state[key], torch.nan)}, tmp_path / "nan.pth")
    assert run(["bn", str(tmp_path / "nan.pth")]) == 2
    assert "not finite" in capsys.readouterr().err
    assert run(["bn", str(write(network, "pickle", tmp_path))]) == 2
    assert "--trust" in capsys.readouterr().err
    assert run(["bn", str(tmp_path / "absent.pth")]) == 2
    (tmp_path / "no.safetensors").write_bytes(b"hello")
    assert run(["bn", str(tmp_path / "no.safetensors")]) == 2


def test_a_table_loads_nothing_that_draws(network: nn.Module, tmp_path: Path) -> None:
    path = write(network, "safetensors", tmp_path)
    code = (
        "import sys, qdiag.cli.app as app; "
        f"assert app.run(['bn', {str(path)!r}]) == 0; "
        "print([name for name in ('matplotlib', 'pandas') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"
