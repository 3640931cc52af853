"""A format without integers from the outside: every command that measures, its files, and what reads them again."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from qdiag.cli.app import run
from qdiag.core.measures.measurement import Measurement
from qdiag.writers.json.diagnosis import diagnosis_from_json
from qdiag.writers.json.measurement import from_json

Capture = pytest.CaptureFixture[str]

NET = """
import torch
from torch import nn

def net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1), nn.SiLU(), nn.Flatten(), nn.Linear(8 * 36, 5),
    ).eval()
"""
POWERS = ["--set", "weights.type=power_of_two", "--set", "activations.type=power_of_two"]
FOUR_BITS = [*POWERS, "--set", "weights.bits=4", "--set", "activations.bits=4"]
NOTE = "3 layers have no integers at one scale, first 0"


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Model and data, as options."""
    folder = tmp_path_factory.mktemp("net")
    (folder / "made.py").write_text(NET, encoding="utf-8")
    x = torch.randn(48, 3, 8, 8, generator=torch.Generator().manual_seed(1)).numpy()
    np.savez(folder / "data.npz", x=x)
    return [f"{folder}/made.py:net", "--data", str(folder / "data.npz"), "--calib-samples", "16", "--device", "cpu"]


@pytest.fixture(scope="module")
def diagnosed(net: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Diagnoses of the same network: a folder, and a file."""
    folder = tmp_path_factory.mktemp("diagnosed")
    powers, affine = folder / "powers", folder / "affine.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("qdiag.writers.plots.pictures.LAYERS_DRAWN", 1)
        assert run(["diagnose", *net, *FOUR_BITS, "-o", str(powers), "--plots", "png", "-q"]) == 0
    fast = ["--no-bits", "--no-sensitivity", "-q"]
    assert run(["diagnose", *net, "--set", "weights.bits=4", "--json", str(affine), *fast]) == 0
    return {"powers": powers, "affine": affine}


def sqnr(net: list[str], folder: Path, *options: str) -> Measurement:
    path = folder / "sqnr.json"
    assert run(["sqnr", *net, *options, "--json", str(path)]) == 0
    return from_json(path.read_text(encoding="utf-8"))


def test_one_option_for_weights_and_one_for_activations(net: list[str], tmp_path: Path, capsys: Capture) -> None:
    files = [tmp_path / "layers.csv", tmp_path / "sqnr.svg"]
    found = sqnr(net, tmp_path, *FOUR_BITS, "--csv", str(files[0]), "--plot", str(files[1]))
    printed = " ".join(capsys.readouterr().out.split())
    assert "weights 4-bit power of two signed per channel, min-max" in printed
    assert NOTE in printed
    quantizers = {record.name: record.quantizer for record in found.records}
    first, last = quantizers["0"], quantizers["6"]
    assert first is not None and last is not None
    # after a ReLU all 16 codes are zero and magnitudes; the logits have both signs
    assert (first.type, first.scale, first.zero_point, len(first.levels)) == ("power_of_two", None, None, 16)
    assert (min(first.levels), min(last.levels) < 0.0, len(last.levels)) == (0.0, True, 15)
    for record in found.records:
        assert record.expected_sqnr_db == pytest.approx(14.0, abs=1.5)
        assert math.isnan(record.local_rmse_scales)
        assert record.weight is None or record.weight.error.sqnr_db == pytest.approx(14.0, abs=2.0)
    entered = found.record("input:input")
    assert entered.local.sqnr_db == pytest.approx(entered.expected_sqnr_db, abs=0.3)
    frame = pd.read_csv(files[0])
    assert frame["scale"].isna().all() and frame["range_max"].notna().all()
    assert files[1].stat().st_size > 1000


def test_a_scheme_file_and_a_single_layer(net: list[str], tmp_path: Path) -> None:
    scheme = tmp_path / "shifts.toml"
    scheme.write_text(
        'base = "tf-uint8"\n[weights]\ntype = "power_of_two"\nbits = 5\n[layers."6".weights]\ntype = "affine"\n',
        encoding="utf-8",
    )
    found = sqnr(net, tmp_path, "--scheme", str(scheme))
    types = {
        record.name: record.weight.quantizer.type
        for record in found.records
        if record.weight and record.weight.quantizer
    }
    assert types == {"0": "power_of_two", "3": "power_of_two", "6": "affine"}
    assert any(note.startswith("2 layers have no integers") for note in found.notes)
    assert all(record.quantizer is not None and record.quantizer.type == "affine" for record in found.records)


def test_narrow_registers_do_not_act_where_no_integers_are(net: list[str], tmp_path: Path) -> None:
    narrow = ["--set", "accumulator_bits=12", "--set", "pair_saturation=true", "--losses"]
    affine, powers = sqnr(net, tmp_path, *narrow), sqnr(net, tmp_path, *narrow, *POWERS[:2])
    for before, after in zip(affine.records, powers.records, strict=True):
        if before.weight is None:
            continue
        assert before.losses is not None and after.losses is not None
        assert before.losses.saturation.sqnr_db < 60.0
        assert after.losses.saturation.count == 0
    assert any("QD601" in note for note in powers.notes)
    assert not any("QD601" in note for note in affine.notes)


def test_sensitivity(net: list[str], tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    assert run(["sensitivity", *net, *FOUR_BITS, "--json", str(path), "-q"]) == 0
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    assert {row["layer"] for row in rows} >= {"0", "3", "6"}
    assert all(row["fisher"] > 0.0 and row["alone"]["output_sqnr_db"] < 30.0 for row in rows)


def test_a_diagnosis_with_its_report(diagnosed: dict[str, Path]) -> None:
    folder = diagnosed["powers"]
    found = diagnosis_from_json((folder / "diagnosis.json").read_text(encoding="utf-8"))
    assert NOTE in " ".join(found.measurement.notes)
    by_bits = {point.bits: point.score.output_sqnr_db for point in found.bits}
    assert by_bits[8] < 16.0, "more bits reach further down, and make no finer steps"
    assert by_bits[8] == pytest.approx(by_bits[6], abs=0.5)
    codes = {finding.code for finding in found.ranking.findings}
    assert not codes & {"QD104", "QD105", "QD601", "QD602"}
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "4 bits, power of two, 16 levels" in page
    assert "power of two" in (folder / "report.md").read_text(encoding="utf-8")
    assert list((folder / "plots").iterdir())


@pytest.mark.usefixtures("one_layer_drawn")
def test_what_reads_a_stored_diagnosis(
    diagnosed: dict[str, Path], tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the pictures are those that `diagnosed` has drawn: here it is asked for which ones a report has
    monkeypatch.setattr("qdiag.writers.plots.pictures.settle_layout", lambda figure: None)
    monkeypatch.setattr("qdiag.writers.plots.pictures.figure_bytes", lambda figure, kind: b"picture")
    powers, affine = (str(diagnosed[name]) for name in ("powers", "affine"))
    assert run(["gate", powers, "--min-sqnr", "-20"]) == 0
    assert run(["gate", powers, "--min-sqnr", "40"]) == 1
    baseline = ["--baseline", str(tmp_path / "baseline.json"), "--tolerance-db", "1", "--allow-few-samples"]
    assert run(["gate", powers, *baseline, "--update-baseline"]) == 0
    assert run(["gate", powers, *baseline]) == 0
    assert run(["gate", affine, *baseline]) == 2, "another number format is another scheme"
    capsys.readouterr()
    assert run(["compare", affine, powers]) == 0
    assert "power_of_two" in capsys.readouterr().out
    formats = ["--format", "md", "--format", "png"]
    assert run(["report", powers, "-o", str(tmp_path / "again"), *formats, "-q"]) == 0
    again = (tmp_path / "again" / "report.md").read_text(encoding="utf-8")
    assert again == (diagnosed["powers"] / "report.md").read_text(encoding="utf-8")


def test_a_misspelt_format_is_refused(net: list[str], capsys: Capture) -> None:
    assert run(["sqnr", *net, "--set", "weights.type=power-of-two"]) == 2
    message = " ".join(capsys.readouterr().err.split())
    assert "weights.type = power-of-two: one of affine, power_of_two" in message
    assert "did you mean power_of_two?" in message
