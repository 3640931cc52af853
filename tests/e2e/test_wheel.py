"""The wheel as a stranger gets it: built, installed into an empty folder, and run away from the checkout."""

import os
import re
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from qdiag.cli.app import run as run_here
from qdiag.config import preset_names
from qdiag.core.diagnosis import Diagnosis
from qdiag.writers.json.diagnosis import read_diagnosis
from tests.figures import top1_of

ROOT = Path(__file__).resolve().parents[2]

Run = Callable[..., str]


def execute(*command: str | Path, cwd: Path, is_silent: bool = False, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not is_silent or done.stderr == ""
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    execute(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps")
    execute(*pip, "--target", folder, wheel, cwd=folder)
    return folder


@pytest.fixture
def qdiag(installed: Path, tmp_path: Path) -> Run:
    """Runs the console script; a `qdiag` that is installed in place comes after PYTHONPATH, and so never answers."""

    def run(*arguments: str | Path) -> str:
        script, environment = installed / "bin" / "qdiag", {"PYTHONPATH": str(installed), "COLUMNS": "160"}
        return execute(script, *arguments, cwd=tmp_path, is_silent="--quiet" in arguments, **environment)

    where = "import qdiag, qdiag.config; print(qdiag.__file__); print(qdiag.config.presets_folder())"
    for path in execute(sys.executable, "-c", where, cwd=tmp_path, PYTHONPATH=str(installed)).split():
        assert Path(path).is_relative_to(installed)
    return run


def test_it_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {str(path.relative_to(ROOT).as_posix()) for path in (ROOT / "qdiag").rglob("*.py")}
    expected |= {f"qdiag/configs/{name}.toml" for name in preset_names()} | {"qdiag/py.typed"}
    expected |= {f"qdiag/demo_assets/{name}" for name in ("digits.npz", "digits_mobilenet.safetensors", "README.md")}
    assert expected <= names
    others = {name for name in names if not name.startswith("qdiag/")}
    assert all(name.partition("/")[0].endswith(".dist-info") for name in others)
    assert any(name.endswith("/LICENSE") for name in others)
    assert wheel.stat().st_size < 2_750_000  # half a megabyte is the demo, the rest 1,200 files of code


def test_version_and_presets(qdiag: Run, wheel: Path) -> None:
    assert qdiag("--version").split() == ["qdiag", wheel.name.split("-")[1]]
    text = qdiag("schemes")
    assert len(preset_names()) == len(list((Path(__file__).resolve().parents[2] / "configs").glob("*.toml")))
    assert [name for name in preset_names() if name not in text] == []


@pytest.mark.usefixtures("one_picture_drawn")
def test_the_demo_tells_the_story_and_its_commands_carry_on(
    qdiag: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The demo is run from the wheel, the commands that it proposes from the checkout, whose package it holds."""
    monkeypatch.chdir(tmp_path)
    out = Path("made") / "for it"
    text = qdiag("demo", "--out", out, "--quiet")
    written = {path.name for path in out.iterdir()}
    assert written >= {"report.html", "report.md", "layers.csv", "diagnosis.json"}
    assert all(path.stat().st_size > (100 if path.suffix == ".toml" else 1000) for path in out.iterdir())
    found = read_diagnosis(out)
    _check_diagnosis(found)
    story = ("Quantization costs", "1. QD301", "To repair it:", "For contrast, int8", "What is wrong with it", "Open")
    assert sorted(story, key=text.index) == list(story), "the verdict first, then why, then what to do"
    assert "Open these" in text
    named = re.findall(r"^  (made/for it/\S+)  ", text, re.MULTILINE)
    assert len(named) >= 4
    assert [name for name in named if not Path(name).exists()] == []

    _, _, tail = text.partition("Repair it, see what that changed")
    lines = [line.strip() for line in tail.replace(" \\\n", " ").splitlines() if line.startswith("  qdiag ")]
    said = [re.search(r"# .*exit code (\d)", line) for line in lines]
    codes = {}
    for line, comment in zip(lines, said, strict=True):
        arguments = shlex.split(line, comments=True)[1:]
        if arguments[0] == "diagnose":
            arguments += ["--no-sensitivity", "--no-bits"]  # neither is what this is about
        codes[line] = run_here(arguments)
        assert codes[line] == (int(comment[1]) if comment else 0)
    assert sorted(codes.values()) == [0, 0, 0, 0, 0, 1]
    assert read_diagnosis(out / "fixed").ranking.harm.verdict == "healthy"
    assert "Better" in capsys.readouterr().out


def _check_diagnosis(found: Diagnosis) -> None:
    top1 = top1_of(found.ranking.before.task)
    assert top1 is not None
    assert top1.drop_pp > 40.0
    (cause,) = found.ranking.claimed
    assert cause.code == "QD301"
    assert {int(layer.split(".")[1]) for layer in cause.layers} == {0, 1, 2, 5}
    assert found.ranking.remainder < 1.0
    by_bits = {point.bits: point.score.output_sqnr_db for point in found.bits}
    measured = [by_bits[bits] for bits in sorted(by_bits) if bits >= 8]
    assert len(measured) > 1 and measured == sorted(set(measured)), "more bits, less noise: no bias overflows"
