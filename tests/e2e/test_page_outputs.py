"""Outputs that the how-to pages show are those that their commands print."""

import re
import shlex
import shutil
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest

import qdiag
from qdiag.cli.app import run
from qdiag.runtimes.processor import saturates_pairs
from tests.e2e.test_task_docs import FILES

DOCS = Path(__file__).resolve().parents[2] / "docs"
DEMO = Path(qdiag.__file__).parent / "demo_assets"
PAGES = {
    "embeddings.md": 1,
    "segmentation.md": 2,
    "speech.md": 1,
    "own-network.md": 1,
    "onnx-to-integers.md": 3,
}
"""Pages, and how many blocks of output are compared on each."""
SATURATED = "onnx-to-integers.md"
"""Printed by a processor on which onnxruntime saturates pairs of products."""
LONG = ("qdiag diagnose reports/demo/", "qdiag diagnose net.onnx", "qdiag sqnr reports/demo/")
"""Commands that take longer than all others together, and whose output the pages do not show."""


def blocks(page: str) -> list[str]:
    return re.findall(r"^```\w*\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def flowing(text: str) -> str:
    """As one line, since a page may be narrower than a terminal; another version of a runtime is none of ours, and how
    float32 sums are rounded depends on the processor."""
    text = re.sub(r"(onnxruntime) \d+(\.\d+)+", r"\1 VERSION", " ".join(text.split()))
    return re.sub(r"\d\.\de-\d\d", "ROUNDING", text)


def of_any_processor(text: str) -> str:
    """Without figures of accuracy and what follows from them, where the page was printed by a processor that saturates
    pairs of products and this one does not."""
    return re.sub(r"\d+(\.\d+)?(?= (dB|%|pp))", "FIGURE", text.partition(" No harm measured")[0])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "reports" / "demo").mkdir(parents=True)
    for file in DEMO.glob("digits*"):
        shutil.copy(file, tmp_path / "reports" / "demo")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_shows_is_what_its_commands_print(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    if page == "onnx-to-integers.md" and not find_spec("onnxruntime"):
        pytest.skip("onnxruntime is not installed")
    printed, compared = "", 0
    for block in blocks(page):
        if block.startswith("import "):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                exec(compile(block, page, "exec"), {})
        elif block.startswith("qdiag "):
            for line in block.splitlines():
                if not line.startswith(LONG):
                    assert run([*shlex.split(line, comments=True)[1:], "--quiet"]) == 0, line
                    printed += capsys.readouterr().out
        else:
            compared += 1
            for paragraph in block.strip().split("\n\n"):
                shown, found = flowing(paragraph), flowing(printed)
                if page == SATURATED and not saturates_pairs():
                    shown, found = of_any_processor(shown), of_any_processor(found)
                assert shown in found
    assert compared == PAGES[page]


@pytest.mark.usefixtures("folder")
def test_what_the_page_on_detectors_says_of_the_task(capsys: pytest.CaptureFixture[str]) -> None:
    """By the command that measures alone: the diagnosis of the page takes as long as all others."""
    assert run(["sqnr", "./boxes.py:net", "--data", "./boxes.py:batches", "--quiet"]) == 0
    printed = flowing(capsys.readouterr().out)
    (task,) = [block.split("\n\n")[0] for block in blocks("detection.md") if block.startswith("task ")]
    for line in task.splitlines():
        assert flowing(line.removeprefix("task")) in printed
