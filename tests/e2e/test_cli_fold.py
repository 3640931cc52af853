"""`qdiag fold` from the command line to the file with the folded network."""

import csv
from pathlib import Path

import pytest
import torch

from qdiag.cli.app import run
from qdiag.core.measures.folding import FoldReport
from qdiag.loaders.models.formats import load_subject
from tests.e2e.measuring import make_inputs
from tests.stored import read_back

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fold")
    make_inputs(folder)
    return folder


@pytest.fixture(scope="module")
def line(folder: Path) -> list[str]:
    data = ["--data", str(folder / "data.npz"), "--scheme", "tf-uint8", "--device", "cpu", "--quiet", "--no-cache"]
    return ["fold", str(folder / "net.pt2"), *data]


def test_the_written_network_is_the_same_function_without_batchnorms(
    folder: Path, line: list[str], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = folder / "folded.pt2"
    assert run([*line, "-o", str(out), "--json", str(folder / "fold.json"), "--csv", str(folder / "fold.csv")]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert "2 BatchNorms: all are folded." in printed
    assert "makes of -0.5 the code 63" in printed and "of -0.5 the code 0 " in " ".join(printed.split())
    report = read_back(FoldReport, (folder / "fold.json").read_text(encoding="utf-8"))
    assert report.written_to == str(out)
    assert 0.0 < report.relative_delta < 1e-5
    with (folder / "fold.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["kind"], row["name"], row["done"]) for row in csv.DictReader(file)]
    assert rows[:2] == [("batchnorm", "1", "True"), ("batchnorm", "4", "True")]
    assert rows[2:] == [("activation", "0", "True"), ("activation", "3", "True")]
    before, after = torch.export.load(folder / "net.pt2"), load_subject(out).model
    assert sorted(after.state_dict) == [f"{i}.{part}" for i in (0, 3, 7) for part in ("bias", "weight")]
    x = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(after.module()(x), before.module()(x), rtol=1e-4, atol=1e-4)
    assert run([*line, "-o", str(out)]) == 2
    assert "--force" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-o", "{folder}/folded.pth"], "end the name in .pt2"),
        (["-o", "{folder}/folded.safetensors"], "end the name in .pt2"),
        (["-o", "{folder}/part.pt2", "--submodule", "0"], "a part of a network is not written"),
        (["-o", "{folder}/net.pt2"], "net.pt2"),
        (["--csv", "{folder}/data.npz"], "data.npz"),
    ],
)
def test_what_cannot_be_written_is_refused_before_the_run(
    folder: Path, line: list[str], options: list[str], said: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("it ran")

    monkeypatch.setattr("qdiag.pipeline.folding.fold.fold_network", never)
    content = (folder / "net.pt2").read_bytes()
    assert run([*line, *(option.format(folder=folder) for option in options)]) == 2
    assert said in capsys.readouterr().err
    assert (folder / "net.pt2").read_bytes() == content
