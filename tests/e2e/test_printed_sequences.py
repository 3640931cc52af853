"""The commands that a diagnosis prints, run in their order: each works on what the one before wrote, and comes to what
was said of it."""

import html
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch

from qdiag.cli.app import run
from qdiag.core.causes.ranking import Ranking
from qdiag.core.causes.repair import ModelRepair
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.task import Figure
from qdiag.reading.words.causes import commands
from qdiag.writers.html.report import html_report
from qdiag.writers.json.diagnosis import read_diagnosis
from qdiag.writers.json.measurement import from_json
from qdiag.writers.markdown.report import markdown_report
from tests.planted.tasks.files import write_task_files
from tests.stored import read_back
from tests.wrapped_commands import on_one_line

FAST = ("--no-bits", "--no-sensitivity", "--quiet")
Capture = pytest.CaptureFixture[str]

NET = """
import torch
from torch import nn

def shifted():
    '''Inputs around 16: rounding the weights moves every logit by a constant.'''
    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(32, 6)).eval()
    with torch.no_grad():
        made[0].bias.copy_(-16.0 * made[0].weight.sum(1))
    return made

def idle():
    '''Beside that, weights eight times as large on an input that is always zero.'''
    made = shifted()
    with torch.no_grad():
        made[0].weight[:, 0] *= 8.0
        made[0].bias.copy_(-16.0 * made[0].weight[:, 1:].sum(1))
    return made
"""


def write_network(name: str, folder: Path) -> None:
    """`made.py`, and `data.npz` whose labels are the float network's answers."""
    (folder / "made.py").write_text(NET, encoding="utf-8")
    made: dict[str, object] = {}
    exec(NET, made)
    model = made[name]()  # type: ignore[operator]
    x = 16.0 + torch.randn(600, 32, generator=torch.Generator().manual_seed(1))
    if name == "idle":
        x[:, 0] = 0.0
    with torch.no_grad():
        labels = model(x).argmax(1)
    if name == "idle":
        x[::40, 5] = 600.0  # a coarse input hides what the bias could recover alone
    np.savez(folder / "data.npz", x=x.numpy(), y=labels.numpy())


def diagnosed(words: list[str], capsys: Capture) -> tuple[Diagnosis, str]:
    """The diagnosis, and what the terminal says."""
    assert run(["diagnose", *words, *FAST, "--json", "found.json"]) == 0
    return read_diagnosis(Path("found.json")), capsys.readouterr().out


def run_all(lines: tuple[str, ...]) -> tuple[list[ModelRepair], Figure]:
    """Each command that writes, with its result, and the quantized network after the last of all."""
    written, last = [], None
    for i, line in enumerate(lines):
        words = shlex.split(line, comments=True)
        if not words:
            continue
        assert words[0] == "qdiag"
        assert run([*words[1:], "--quiet", "--json", f"{i}.json"]) == 0, line
        text = Path(f"{i}.json").read_text(encoding="utf-8")
        if words[1] == "sqnr":
            last = from_json(text).task.judged
        else:
            result = read_back(ModelRepair, text)
            assert result.after is not None
            written.append(result)
            last = result.after.task.judged
    assert last is not None
    return written, last


def float_value(found: Ranking, index: int) -> float:
    """Of the checkpoint that a step is written into, as the ranking measured it."""
    cost, judged = found.waterfall[index].float_cost, found.before.task.judged
    assert cost is not None and judged is not None
    return judged.reference - cost.loss


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_checkpoint_for_the_quantized_network_alone_is_said_to_be_one_everywhere(capsys: Capture) -> None:
    write_network("shifted", Path())
    scheme = ["--scheme", "w8a32", "--set", "weights.bits=4"]
    found, terminal = diagnosed(["./made.py:shifted", "--data", "data.npz", *scheme], capsys)
    ranking, lines = found.ranking, commands(found)
    assert [step.repair for step in ranking.waterfall] == ["correct_bias"]
    comment, line = lines
    said = re.search(r"alone: its float network has a top-1 of ([\d.]+) % instead of 100.0 %", comment)
    assert said is not None
    page = html.unescape(re.sub("<[^>]+>", "", html_report(found)))
    for surface in map(on_one_line, (terminal, markdown_report(found), page)):
        assert comment in surface and line in surface
    assert '"is_too_much": true' in Path("found.json").read_text(encoding="utf-8")

    (result,), last = run_all(lines)
    assert last.simulated == pytest.approx(ranking.repaired.task_value, abs=0.01)
    assert last.reference == pytest.approx(float(said[1]), abs=0.06)
    assert last.reference == pytest.approx(float_value(ranking, 0), abs=0.01)
    assert last.reference <= 60.0
    printed = capsys.readouterr().out
    assert "made for the quantized network alone" in printed
    assert result.before is not None and result.before.task.judged is not None
    below = result.before.task.judged.reference - last.simulated
    assert re.search(rf"→ {last.simulated:.1f} %, {below:.1f} pp below float", printed)


def test_the_second_repair_works_on_what_the_first_wrote(capsys: Capture) -> None:
    write_network("idle", Path())
    scheme = ["--scheme", "tf-uint8", "--set", "weights.bits=4"]
    found, _ = diagnosed(["./made.py:idle", "--data", "data.npz", *scheme], capsys)
    ranking = found.ranking
    assert [step.repair for step in ranking.waterfall] == ["clip_idle_weights", "correct_bias"]
    written, last = run_all(commands(found))
    assert [result.steps[0].repair for result in written] == ["clip_idle_weights", "correct_bias"]
    for i, result in enumerate(written):
        assert result.after is not None and result.after.task.judged is not None
        after = result.after.task.judged
        assert after.simulated == pytest.approx(ranking.waterfall[i].after.task_value, abs=0.01)
        assert after.reference == pytest.approx(float_value(ranking, i), abs=0.01)
    assert last.simulated == pytest.approx(ranking.repaired.task_value, abs=0.01)


def test_a_repair_is_written_under_the_settings_of_the_step_before(capsys: Capture, tmp_path: Path) -> None:
    files = write_task_files("embedding", tmp_path)
    words = [*files.by_weights, "--metric", files.metric, "--scheme", "tf-uint8"]
    for value in ("bits=3", "symmetric=true", "signed=true", "narrow_range=true"):
        words += ["--set", f"weights.{value}"]
    found, _ = diagnosed(words, capsys)
    ranking, lines = found.ranking, commands(found)
    first, plan, written = ranking.waterfall
    assert (first.repair, plan.repair, written.repair) == ("equalize", "clip_weights", "correct_bias")
    (setting,) = plan.settings
    before, *behind = [f"--set {shlex.quote(setting)}" in line for line in lines if not line.startswith("#")]
    assert not before and behind and all(behind)
    _, last = run_all(lines)
    assert last.simulated == pytest.approx(ranking.repaired.task_value, rel=1e-3)


def test_a_repair_that_is_refused_is_exit_1(capsys: Capture) -> None:
    write_network("shifted", Path())
    words = ["repair", "./made.py:shifted", "--data", "data.npz", "-o", "fixed.pt", "--quiet"]
    for name, reason in (("clip_idle_weights", "clip_idle_weights was refused"), ("correct_bias", "--float-bound")):
        assert run([*words, "--with", name]) == 1
        said = capsys.readouterr().out
        assert reason in said and "No repair was made, so nothing is written." in said
        assert not Path("fixed.pt").exists()
