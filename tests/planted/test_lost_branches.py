"""A branch of an output that is rounded away is the harm, and its concat the cause; healthy twins have neither."""

from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from qdiag.batches import Datasets
from qdiag.config import load_preset, load_scheme
from qdiag.core.diagnosis import Diagnosis
from qdiag.loaders.data.sources import batches_from
from qdiag.pipeline.diagnose import DiagnoseOptions
from qdiag.reading.words.causes import headline
from qdiag.reading.words.commands.repairing import commands
from qdiag.reading.words.task.choice import PROXY
from qdiag.subject import Subject
from tests.cases import SESSION, open_test_case
from tests.runs import diagnose_subject

Outputs = Tensor | tuple[Tensor, ...]


class Detector(nn.Module):
    """Two scales; at each place a box of four sides and scores of a few classes, as YOLOv8 gives them.

    Args:
        size: what sides are multiplied by. is_joined: boxes and scores end in one tensor.
    """

    def __init__(self, size: float, *, is_joined: bool = True, classes: int = 20) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU())
            self.down = nn.Sequential(nn.Conv2d(16, 16, 3, 2, 1), nn.ReLU())
            self.boxes = nn.ModuleList(nn.Conv2d(16, 4, 1) for _ in range(2))
            self.scores = nn.ModuleList(nn.Conv2d(16, classes, 1) for _ in range(2))
        self.size, self.is_joined = size, is_joined

    def forward(self, x: Tensor) -> Outputs:
        fine = self.stem(x)
        maps = [fine, self.down(fine)]
        boxes = torch.cat([head(y).flatten(2) for head, y in zip(self.boxes, maps, strict=True)], 2)
        scores = torch.cat([head(y).flatten(2) for head, y in zip(self.scores, maps, strict=True)], 2)
        boxes, scores = self.size * boxes.sigmoid(), scores.sigmoid()
        return torch.cat((boxes, scores), 1) if self.is_joined else (boxes, scores)


class Cells(nn.Module):
    """One place in pixels and one score for each cell; the output is changed once more after it was joined."""

    def __init__(self, size: float) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.body, self.place, self.score = nn.Conv1d(4, 16, 1), nn.Conv1d(16, 1, 1), nn.Conv1d(16, 1, 1)
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x).relu()
        joined = torch.cat((self.size * self.place(y).sigmoid(), self.score(y).sigmoid()), 1)
        return joined.permute(0, 2, 1) * 0.5


SICK: dict[str, Callable[[], nn.Module]] = {"detector": lambda: Detector(320.0), "cells": lambda: Cells(640.0)}
TWINS: dict[str, Callable[[], nn.Module]] = {
    "detector": lambda: Detector(1.0),
    "detector, two outputs": lambda: Detector(320.0, is_joined=False),
    "cells": lambda: Cells(1.0),
}
INPUTS = {
    "detector": torch.randn(60, 3, 8, 8, generator=torch.Generator().manual_seed(1)),
    "cells": torch.randn(60, 4, 24, generator=torch.Generator().manual_seed(1)),
}


def inputs_of(name: str) -> Tensor:
    return INPUTS[name.partition(",")[0]]


@cache
def diagnosis(name: str, *, is_sick: bool) -> Diagnosis:
    model = (SICK if is_sick else TWINS)[name]().eval()
    samples = inputs_of(name)
    datasets = Datasets(batches_from(samples[:20], 20), batches_from(samples[20:], 40), "drawn apart")
    options = DiagnoseOptions(with_sensitivity=False, with_bits=False)
    subject = Subject(model, "module", "planted", type(model).__name__)
    return diagnose_subject(subject, datasets, load_preset("int8"), options=options)


@pytest.mark.parametrize("name", SICK)
def test_the_lost_branch_is_the_harm(name: str) -> None:
    found = diagnosis(name, is_sick=True)
    (output,) = found.measurement.outputs
    assert output.error.sqnr_db > 40.0, "the boxes are as they should be"
    assert found.ranking.harm.criterion is None
    assert found.ranking.harm.verdict == "harmed"
    assert found.ranking.harm.value == found.ranking.before.output_sqnr_db < 5.0
    assert output.weakest is not None and output.weakest.name.startswith(("branch scores", "branch sigmoid"))
    assert f"of SQNR at {output.weakest.name} of the output, below the limit" in headline(found)
    assert PROXY in headline(found)


@pytest.mark.parametrize("name", SICK)
def test_its_concat_is_the_first_cause_and_splitting_it_the_first_repair(name: str) -> None:
    ranking = diagnosis(name, is_sick=True).ranking
    first = ranking.causes[0]
    assert (first.code, first.verdict) == ("QD401", "cause")
    trials = {trial.repair: trial for trial in first.trials}
    assert set(trials) >= {"split_concat", "activations_16bit", "keep_float"}
    assert first.trials[0].repair == "split_concat"
    assert all(trials[r].recovery is not None for r in ("split_concat", "activations_16bit", "keep_float"))
    recovery = first.trials[0].recovery
    assert recovery is not None and recovery.recovered_db > 25.0 and recovery.db_interval.low > 20.0
    assert ranking.waterfall[0].repair == "split_concat"
    assert ranking.repaired.output_sqnr_db > 25.0


@pytest.mark.parametrize("name", SICK)
def test_the_printed_command_repairs_it(name: str) -> None:
    found = diagnosis(name, is_sick=True)
    _, line = commands(found)
    assert "split_concats=" in line
    settings = [setting for step in found.ranking.waterfall for setting in step.settings]
    assert all(setting in line for setting in settings)
    samples = inputs_of(name)
    scheme = load_scheme("int8", settings)
    case = open_test_case(SICK[name]().eval(), batches_from(samples[:20], 20), scheme, measured=samples[20:])
    (scored,), _ = SESSION.score([case], "test")
    assert scored.score.output_sqnr_db == pytest.approx(found.ranking.repaired.output_sqnr_db, abs=0.01)


@pytest.mark.parametrize("name", TWINS)
def test_a_healthy_twin_has_neither(name: str) -> None:
    found = diagnosis(name, is_sick=False)
    assert found.ranking.harm.verdict == "healthy"
    assert found.ranking.claimed == ()
    assert not any(finding.code == "QD401" for finding in found.ranking.findings)
    assert headline(found).startswith("Nothing to repair")
    assert commands(found) == ()
