"""Every command that measures says what it does: no sample is looked at outside a stage that is named and counted."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from qdiag.batches import Batch
from qdiag.cli.app import run
from qdiag.loaders.data.samples import Selection
from tests.e2e.measuring import COMMANDS, command_line, make_inputs, use_as_demo

UNCOUNTED = {
    *("open the data", "capture", "find branches", "estimate the time", "data digest", "audit", "report"),
    "preprocessing",
    "look for channels that cannot be repaired",
}
"""Stages that look at a few samples, or at none."""


@dataclass
class Stage:
    name: str
    total: int | None
    advanced: int = 0
    seen: int = 0


@dataclass
class Recorder:
    """A progress that keeps its stages, and counts the samples that are looked at in each."""

    stages: list[Stage] = field(default_factory=list)
    current: Stage | None = None

    def start(self, stage: str, total: int | None) -> None:
        assert self.current is None, f"{stage} begins within {self.current}"
        self.current = Stage(stage, total)
        self.stages.append(self.current)

    def advance(self, steps: int = 1) -> None:
        assert self.current is not None
        self.current.advanced += steps

    def finish(self) -> None:
        self.current = None


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    make_inputs(folder)
    return folder


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Recorder:
    monkeypatch.setenv("QDIAG_CACHE_DIR", str(tmp_path / "cache"))
    found = Recorder()
    monkeypatch.setattr("qdiag.cli.run.make_progress", lambda **_: found)
    batches = Selection.__iter__

    def watched(selection: Selection) -> Iterator[Batch]:
        for batch in batches(selection):
            assert found.current is not None, "samples are looked at outside a stage"
            found.current.seen += batch.sample_count
            yield batch

    monkeypatch.setattr(Selection, "__iter__", watched)
    return found


@pytest.mark.parametrize("name", [*COMMANDS, "demo"])
def test_all_that_a_command_does_is_a_stage(
    name: str, inputs: Path, recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_as_demo(inputs, monkeypatch)
    code = run(command_line(name, inputs, tmp_path))
    assert code in (0, 1) if name.startswith("gate") else code == 0
    assert recorder.current is None
    passes = [stage for stage in recorder.stages if stage.total is not None]
    assert passes
    assert {stage.name for stage in recorder.stages if stage.total is None} <= UNCOUNTED
    for stage in passes:
        assert stage.advanced == stage.total, stage
        assert stage.seen == (0 if name == "drawn inputs" else stage.total), stage
    first = ["capture", "draw inputs"] if name == "drawn inputs" else ["open the data", "capture"]
    assert [stage.name for stage in recorder.stages[:2]] == first


def test_passes_that_a_repair_starts_are_stages_too(inputs: Path, recorder: Recorder, tmp_path: Path) -> None:
    """Ranges are observed anew for repaired networks, and for calibrators that look more closely."""
    assert run(command_line("rank", inputs, tmp_path)) == 0
    names = [stage.name for stage in recorder.stages if stage.total is not None]
    assert names.count("calibrate") > 1
