"""Every contract about imports in pyproject.toml notices an import that breaks it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PLANTED = {
    "rooms, from the door to the cellar": ("simulate/case.py", "import qdiag.rank.rank"),
    "what draws and judges stored results stands on core alone": ("gate/judge.py", "import qdiag.writers.csv.bn"),
    "nothing below the pipeline trains": ("rank/rank.py", "import qdiag.train.loop"),
    "only the CLI speaks": ("gate/judge.py", "import rich"),
    "only the writers draw": ("pipeline/ranges.py", "import matplotlib"),
    "no torch where stored results are read": ("core/scheme.py", "import torch"),
    "detectors know core alone": ("detectors/base.py", "import qdiag.numerics.histogram"),
    "runtimes know files and arrays alone": ("runtimes/base.py", "import torch"),
    "the package root stands above all rooms": ("pipeline/ranges.py", "import qdiag"),
    "detectors are independent of each other": (
        "detectors/weights/mean_shift.py",
        "import qdiag.detectors.graph.add_ranges",
    ),
    "families of repairs share helpers and nothing else": (
        "repairs/base.py",
        "import qdiag.repairs.weights.correct_bias",
    ),
    "repairs are independent of each other": ("repairs/scheme/keep_float.py", "import qdiag.repairs.scheme.float_bias"),
    "kinds of writers share words and nothing else": ("writers/csv/bn.py", "import qdiag.writers.json.read"),
}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    shutil.copytree(ROOT / "qdiag", folder / "qdiag", ignore=shutil.ignore_patterns("__pycache__", "*.npz", "*.html"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def report(folder: Path) -> str:
    """What the tool says of the package in this folder."""
    program = Path(sys.executable).with_name("lint-imports")
    environment = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"}
    found = subprocess.run(
        [program, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False, env=environment
    )
    assert (found.returncode != 0) == (" BROKEN" in found.stdout), found.stdout + found.stderr
    return found.stdout


def test_the_package_keeps_all_contracts(package: Path) -> None:
    assert " BROKEN" not in report(package)


@pytest.fixture(scope="module")
def chains(package: Path) -> dict[str, str]:
    """Of the package with every planted import: by contract, the chains of imports that break it."""
    before = {name: (package / "qdiag" / name).read_text(encoding="utf-8") for name, _ in PLANTED.values()}
    for name, line in PLANTED.values():
        with (package / "qdiag" / name).open("a", encoding="utf-8") as file:
            file.write(f"\n{line}\n")
    found = report(package)
    for name, text in before.items():
        (package / "qdiag" / name).write_text(text, encoding="utf-8")
    _, *parts = re.split(r"^(.+)\n-+\n\n(?=qdiag)", found.partition("Broken contracts")[2], flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.parametrize("contract", PLANTED)
def test_a_planted_import_breaks_its_contract(contract: str, chains: dict[str, str]) -> None:
    name, line = PLANTED[contract]
    importer, imported = name.removesuffix(".py").replace("/", "."), line.removeprefix("import ")
    assert f"qdiag.{importer} -> {imported} (l." in chains[contract]


def test_every_contract_is_tried() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    declared = [part.split('"')[1] for part in text.split("[[tool.importlinter.contracts]]\nname = ")[1:]]
    assert sorted(PLANTED) == sorted(declared)
