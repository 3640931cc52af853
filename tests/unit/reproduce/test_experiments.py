"""Every experiment: its keys have words, its published figures have places, and one seed of it fills its table."""

from collections.abc import Iterator
from dataclasses import replace
from typing import get_args

import pytest

from qdiag.cli.commands.training.reproduce import ExperimentName
from qdiag.core.reproductions.drawings import Bars, Lines, Points
from qdiag.core.reproductions.published import PUBLISHED
from qdiag.core.reproductions.reproduction import Reproduction
from qdiag.reading.words.reproductions import WORDS
from qdiag.reading.words.reproductions.tables import expectation_rows, figure_columns
from qdiag.reproduce.experiments import EXPERIMENTS, mobilenet, repvgg
from qdiag.reproduce.run import RunRequest, run_experiment
from qdiag.simulate.session import Session, open_session
from tests.unit.reproduce.sets import stripes


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with open_session() as opened:
        yield opened


_LEFT_OUT = {"mobilenet": {"b", "c"}, "repvgg": {"s0p", "s1", "s2", "s3"}}
"""Rows that differ from others in their network alone, which take time to capture."""


@pytest.fixture(scope="module", params=EXPERIMENTS)
def done(request: pytest.FixtureRequest, session: Session) -> Iterator[Reproduction]:
    """One seed at a toy size."""
    experiment = EXPERIMENTS[request.param]
    left_out = _LEFT_OUT.get(experiment.name, set())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mobilenet, "VARIANTS", tuple(row for row in mobilenet.VARIANTS if row not in left_out))
        patch.setattr(repvgg, "SETTINGS", {row: s for row, s in repvgg.SETTINGS.items() if row not in left_out})
        yield run_experiment(session, experiment, stripes(40), RunRequest(seeds=1, epochs=1, width=0.1))


def test_the_command_offers_every_experiment() -> None:
    assert sorted(get_args(ExperimentName)) == sorted(EXPERIMENTS) == sorted(WORDS)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_key_has_words(name: str) -> None:
    experiment, words = EXPERIMENTS[name], WORDS[name]
    assert set(experiment.rows) <= set(words.rows) and set(experiment.columns) <= set(words.columns)
    assert {one.key for one in experiment.expectations} == set(words.statements)
    assert {drawing.key for drawing in experiment.drawings} == set(words.drawings)
    for one in experiment.expectations:
        for place in (one.left, one.right):
            assert place is None or (place.row in experiment.rows and place.column in words.columns), one.key


def test_published_figures_have_a_place_in_their_table() -> None:
    assert {entry.experiment for entry in PUBLISHED} <= set(EXPERIMENTS)
    for entry in PUBLISHED:
        experiment = EXPERIMENTS[entry.experiment]
        assert entry.place.row in experiment.rows and entry.place.column in experiment.columns, entry
    places = [(entry.experiment, entry.place) for entry in PUBLISHED]
    assert len(set(places)) == len(places)


def test_one_seed_fills_the_table(done: Reproduction) -> None:
    experiment = EXPERIMENTS[done.experiment]
    measured = {cell.place.row for cell in done.cells if cell.values}
    left_out = _LEFT_OUT.get(done.experiment, set())
    assert measured == set(experiment.rows) - left_out
    for one in experiment.expectations:
        for place in (one.left, one.right):
            assert place is None or place.row in left_out or done.seeds[0].value(place) is not None, one.key
    keys = {curve.drawing for curve in done.seeds[0].curves}
    for drawing in done.drawings:
        if isinstance(drawing, Lines):
            assert drawing.key in keys
        if isinstance(drawing, Points):
            assert all(done.cell(row, drawing.x).values and done.cell(row, drawing.y).values for row in drawing.rows)
        if isinstance(drawing, Bars):
            assert all(done.cell(row, c).values for row in measured for c in drawing.columns[:1])


def test_every_outcome_can_be_told(done: Reproduction) -> None:
    for outcome in ("holds", "fails", "undecided"):
        told = replace(done, judged=tuple(replace(one, outcome=outcome) for one in done.judged))
        for row in expectation_rows(told):
            assert row.statement.endswith(".") and row.measured
            assert bool(row.reason) == (outcome != "holds")
    assert all(len(column.texts) == len(done.rows) for column in figure_columns(done))
