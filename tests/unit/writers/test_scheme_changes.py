"""One stored diagnosis names the same changes of scheme in the terminal, in report.md and in report.html."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from qdiag.cli.tables.ranking import print_ranking
from qdiag.core.causes.ranking import Ranking
from qdiag.core.diagnosis import Diagnosis
from qdiag.reading.scheme_changes import scheme_changes
from qdiag.reading.words.causes import repair_title
from qdiag.writers.html.report import html_report
from qdiag.writers.markdown.report import markdown_report
from tests.diagnoses import diagnosis


def with_three_changes() -> Diagnosis:
    """One at a suspect's layers, two for the whole network, the second of which nothing else names."""
    base = diagnosis()
    assert base.ranking.way_around is not None
    everywhere = base.ranking.way_around
    wider = replace(everywhere, repair="activations_16bit")
    return replace(base, ranking=replace(base.ranking, ways_around=(everywhere, wider)))


def terminal(found: Diagnosis) -> str:
    file = io.StringIO()
    print_ranking(Console(file=file, width=200, highlight=False), found)
    return file.getvalue()


@pytest.mark.parametrize("surface", [terminal, lambda found: markdown_report(found, []), html_report])
def test_every_surface_names_every_change(surface) -> None:  # type: ignore[no-untyped-def]
    found = with_three_changes()
    names = {repair_title(trial.repair) for trial in scheme_changes(found.ranking)}
    assert len(names) >= 2
    text = surface(found)
    assert [name for name in names if name not in text] == []


def test_each_change_stands_once_and_the_best_stands_first() -> None:
    ranking: Ranking = with_three_changes().ranking
    changes = scheme_changes(ranking)
    keys = [(trial.repair, trial.layers) for trial in changes]
    assert len(keys) == len(set(keys)) >= 3
    gains = [trial.recovery.recovered_db for trial in changes if trial.recovery]
    assert gains == sorted(gains, reverse=True)
    refused = replace(changes[0], recovery=None, refused="no layer", layers=("alone",))
    assert ("alone",) not in {t.layers for t in scheme_changes(replace(ranking, ways_around=(refused,)))}
