"""The commands from the outside, on the network that comes with the package."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qdiag.cli.app import run
from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.value_ranges.ranges_report import RangeReport
from qdiag.demo_assets import DEMO_ARCH, DEMO_PRESET, demo_data_path, demo_model_path
from qdiag.writers.json.measurement import from_json
from tests.figures import top1_of
from tests.stored import read_back

DEMO = [
    *(str(demo_model_path()), "--arch", DEMO_ARCH, "--data", str(demo_data_path()), "--preset", DEMO_PRESET),
    *("--samples", "48", "--calib-samples", "32", "--device", "cpu"),
]


def without_times(text: str) -> Measurement:
    plain = json.loads(text)
    plain["stages"] = []
    return from_json(json.dumps(plain))


def test_one_command_makes_the_table_and_the_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [tmp_path / name for name in ("sqnr.json", "layers.csv", "sqnr.svg")]
    options = ["--json", str(files[0]), "--csv", str(files[1]), "--plot", str(files[2]), "--scheme", "tf-uint8"]
    assert run(["sqnr", *DEMO, *options]) == 0
    captured = capsys.readouterr()
    result = from_json(files[0].read_text(encoding="utf-8"))
    weakest = min(result.records, key=lambda record: record.local.sqnr_db)
    assert f">! {weakest.name}" in captured.out, "the lowest, and far below what is expected"
    assert top1_of(result.task) is not None
    assert top1_of(result.task).drop_pp > 40.0
    assert list(pd.read_csv(files[1])["layer"]) == [record.name for record in result.records]
    assert weakest.name in files[2].read_text(encoding="utf-8")
    assert "simulate" in captured.err
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in files}


def test_json_to_stdout_is_json_alone_and_repeatable(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    texts = []
    for batch_size in ("16", "16"):
        assert run(["sqnr", *DEMO, "--json", "-", "--quiet", "--batch-size", batch_size]) == 0
        captured = capfdbinary.readouterr()
        assert captured.err == b""
        texts.append(captured.out.decode())
    assert without_times(texts[0]) == without_times(texts[1])


def test_losses_overrides_and_one_side_alone(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    options = ["--losses", "--set", "weights.bits=4", "--weights-only", "--json", "-"]
    assert run(["sqnr", *DEMO, *options]) == 0
    result = from_json(capfdbinary.readouterr().out.decode())
    assert result.scheme.name == "int8 (weights.bits=4), weights only"
    convolutions = [record for record in result.records if record.weight is not None]
    assert all(record.weight is not None and record.weight.bits == 4 for record in convolutions)
    assert all(record.quantizer is None for record in convolutions)
    assert all(record.losses is not None for record in convolutions)


def test_without_data_the_result_is_marked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = [str(demo_model_path()), "--arch", DEMO_ARCH, "--input-shape", "1,3,32,32", "--device", "cpu"]
    json_file = tmp_path / "r.json"
    assert run(["sqnr", *model, "--samples", "8", "--calib-samples", "8", "--json", str(json_file)]) == 0
    assert "DATA-FREE" in capsys.readouterr().out
    assert from_json(json_file.read_text(encoding="utf-8")).data.is_data_free


def test_a_metric_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "score.py").write_text(
        "def mean_confidence(output, labels):\n    return output.softmax(dim=1).amax(dim=1)\n", encoding="utf-8"
    )
    assert run(["sqnr", *DEMO, "--metric", f"{tmp_path / 'score.py'}:mean_confidence"]) == 0
    assert "mean_confidence" in capsys.readouterr().out


def test_ranges(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [tmp_path / name for name in ("ranges.json", "ranges.csv", "ranges.png")]
    options = ["--json", str(files[0]), "--csv", str(files[1]), "--plot", str(files[2]), "--samples", "16"]
    assert run(["ranges", *(part for part in DEMO if part not in ("--calib-samples", "32")), *options]) == 0
    report = read_back(RangeReport, files[0].read_text(encoding="utf-8"))
    assert {record.role for record in report.records} == {"weight", "activation"}
    assert len(pd.read_csv(files[1])) == len(report.records)
    assert files[2].read_bytes().startswith(b"\x89PNG")
    out = capsys.readouterr().out
    assert out.index("Weights") < out.index("Outputs")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent.pt", "--data", "x.npz"], "absent.pt"),
        ([*DEMO, "--scheme", "int7"], "did you mean int8?"),
        ([*DEMO, "--set", "weights.bit=4"], "did you mean weights.bits?"),
        ([*DEMO, "--weights-only", "--activations-only"], "exclude each other"),
        ([*DEMO, "--json", "-", "--csv", "-"], "only one of --json and --csv"),
        ([*DEMO, "--plot", "plot.pdf"], "must end in .png or .svg"),
        ([*DEMO, "--json", "no/such/folder/x.json"], "the folder does not exist"),
        ([*DEMO, "--device", "tpu"], "tpu"),
        ([*DEMO[:3], "--data", "absent.npz"], "no such file"),
        ([*DEMO[:3]], "no --data, and no shape"),
        ([*DEMO[:3], "--input-shape", "1,3,x"], "is not a shape"),
    ],
)
def test_wrong_usage_ends_with_2_one_message_and_no_file(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    assert run(["sqnr", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert "Traceback" not in captured.err
    assert list(tmp_path.iterdir()) == []


def test_nan_inputs_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = np.zeros((8, 3, 32, 32), dtype=np.float32)
    images[3] = np.nan
    np.savez(tmp_path / "bad.npz", images=images)
    options = ["--data", str(tmp_path / "bad.npz"), "--json", str(tmp_path / "r.json"), "--device", "cpu"]
    assert run(["sqnr", *DEMO[:3], *options]) == 2
    error = capsys.readouterr().err
    assert "bad.npz" in error
    assert "Traceback" not in error
    assert not (tmp_path / "r.json").exists()


def test_an_unforeseen_failure_shows_its_traceback_with_debug_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr("qdiag.pipeline.sqnr.measure_experiment", broken)
    assert run(["sqnr", *DEMO]) == 2
    error = capsys.readouterr().err
    assert "qdiag itself failed: mat1 and mat2" in error
    assert "Traceback" not in error
    assert run(["sqnr", *DEMO, "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_ends_with_130(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("qdiag.pipeline.sqnr.measure_experiment", interrupted)
    assert run(["sqnr", *DEMO]) == 130
    assert capsys.readouterr().err.strip().endswith("interrupted")


def test_help_and_schemes_start_without_torch_and_pandas() -> None:
    script = (
        "import sys; from qdiag.cli.app import run; run(['--help']); run(['schemes']);"
        "heavy = {'torch', 'pandas', 'matplotlib', 'numpy'} & set(sys.modules); sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = f"{sys.executable} -m qdiag schemes | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert done.stderr == ""


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("qdiag ")
