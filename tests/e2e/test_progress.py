"""Every command that measures says what it does: no sample is looked at outside a stage that is named and counted."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from qdiag.batches import Batch
from qdiag.cli.app import run
from qdiag.core.measures.size import NetworkBytes, NetworkSize
from qdiag.loaders.data.samples import Selection
from qdiag.reading.words.size import size_words
from tests.e2e.measuring import CLASSES, COMMANDS, SIZE, command_line, make_inputs, result, use_as_demo

UNCOUNTED = {
    *("open the data", "capture", "find branches", "estimate the time", "data digest", "audit", "report"),
    "preprocessing",
    "look for channels that cannot be repaired",
    *("write", "optimize", "compare the samples"),
}
"""Stages that look at a few samples, or at none, or that run no network on them."""
FLOAT_WEIGHT_BYTES = 4 * (3 * 8 * 9 + 8 + 8 * 8 * 9 + 8 + 8 * (SIZE - 4) ** 2 * CLASSES + CLASSES)
"""Two convolutions, each with the bias that its BatchNorm becomes, and a linear layer."""


@dataclass
class Stage:
    name: str
    total: int | None
    advanced: int = 0
    seen: int = 0


@dataclass
class Recorder:
    """A progress that keeps its stages, and counts the samples that are looked at in each.

    `entered` and `expected` are the stages of the whole run, those that were and those that were said to come.
    """

    stages: list[Stage] = field(default_factory=list)
    current: Stage | None = None
    entered: list[str] = field(default_factory=list)
    expected: dict[str, float] = field(default_factory=dict)

    def enter(self, stage: str) -> None:
        self.entered.append(stage)

    def leave(self) -> None:
        assert self.entered

    def expect(self, seconds: Mapping[str, float]) -> None:
        self.expected |= seconds

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
    for name in ("__iter__", "some"):
        batches = getattr(Selection, name)

        def watched(selection: Selection, *numbers: Sequence[int], own: Any = batches) -> Iterator[Batch]:
            for batch in own(selection, *numbers):
                assert found.current is not None, "samples are looked at outside a stage"
                found.current.seen += batch.sample_count
                yield batch

        monkeypatch.setattr(Selection, name, watched)
    return found


@pytest.mark.parametrize("name", [*COMMANDS, "demo"])
def test_all_that_a_command_does_is_a_stage(
    name: str,
    inputs: Path,
    recorder: Recorder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And its header and its JSON tell the same size of the network, which one run of each command shows as well."""
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
    if name != "check":  # which takes seconds
        assert recorder.expected
        assert min(recorder.expected.values()) >= 0.0
        assert {*recorder.expected} <= {*recorder.entered}, "a bar would wait for them forever"
    if name != "demo":
        assert_size_is_told(name, capsys.readouterr().out, json.loads(result(name, tmp_path).read_text("utf-8")))


def assert_size_is_told(name: str, printed: str, stored: Any) -> None:
    """Bytes of weights, scales and activations, float and quantized, and the ratio, in the words of every header."""
    size = next(sizes_in(stored))
    parts = ("weights", "scales", "activations")
    reference, simulated = (NetworkBytes(*(size[lane][part] for part in parts)) for lane in ("reference", "simulated"))
    assert reference.weights == FLOAT_WEIGHT_BYTES
    assert 0 < simulated.scales < simulated.weights < reference.weights
    assert 0 < simulated.activations < reference.activations
    assert size["compression"] == pytest.approx(reference.stored / simulated.stored)
    scheme = "int8" if name == "ranges" else None
    words = " ".join(printed.split())
    for line in size_words(NetworkSize(reference, simulated), scheme):
        assert line in words, line


def sizes_in(stored: Any) -> Iterator[Any]:
    """Every size in a result, the outermost first."""
    if isinstance(stored, dict):
        if isinstance(stored.get("size"), dict):
            yield stored["size"]
        for value in stored.values():
            yield from sizes_in(value)


def test_passes_that_a_repair_starts_are_stages_too(inputs: Path, recorder: Recorder, tmp_path: Path) -> None:
    """Ranges are observed anew for repaired networks where a calibrator reads more than extremes."""
    assert run([*command_line("rank", inputs, tmp_path), "--set", "activations.calibrator=percentile"]) == 0
    names = [stage.name for stage in recorder.stages if stage.total is not None]
    assert names.count("calibrate") > 1
