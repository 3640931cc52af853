"""The wheel as a stranger gets it: built, installed into an empty folder, and run away from the checkout."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from qdiag.config import preset_names
from qdiag.writers.json.diagnosis import read_diagnosis
from tests.figures import top1_of

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow
Run = Callable[..., str]


def execute(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
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
        return execute(installed / "bin" / "qdiag", *arguments, cwd=tmp_path, PYTHONPATH=str(installed), COLUMNS="160")

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
    assert wheel.stat().st_size < 2_000_000


def test_version_and_presets(qdiag: Run, wheel: Path) -> None:
    assert qdiag("--version").split() == ["qdiag", wheel.name.split("-")[1]]
    text = qdiag("schemes")
    assert len(preset_names()) == len(list((Path(__file__).resolve().parents[2] / "configs").glob("*.toml")))
    assert [name for name in preset_names() if name not in text] == []


def test_the_demo_runs_and_writes_its_files(qdiag: Run, tmp_path: Path) -> None:
    out = tmp_path / "demo"
    text = qdiag("demo", "--out", out)
    written = {path.name for path in out.iterdir()}
    assert written >= {"report.html", "report.md", "layers.csv", "diagnosis.json", "plots"}
    assert all(path.stat().st_size > 1000 for path in out.iterdir())
    top1 = top1_of(read_diagnosis(out / "diagnosis.json").ranking.before.task)
    assert top1 is not None
    assert top1.drop_pp > 40.0
    assert "Open these" in text
