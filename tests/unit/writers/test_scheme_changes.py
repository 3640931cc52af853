"""One stored diagnosis names the same changes of scheme in the terminal, in report.md and in report.html."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from qdiag.cli.tables.ranking import print_ranking
from qdiag.core.causes.ranking import Ranking
from qdiag.core.causes.score import Recovery
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.task import Interval
from qdiag.reading.scheme_changes import scheme_changes
from qdiag.reading.words.causes import repair_title
from qdiag.results.summary import diagnosis_summary
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


def test_a_network_that_is_not_harmed_lists_only_changes_that_help() -> None:
    ranking: Ranking = with_three_changes().ranking
    healthy = replace(ranking, harm=replace(ranking.harm, verdict="healthy"))
    changes = scheme_changes(healthy)
    assert changes and all(trial.helps for trial in changes)
    vain = [replace(trial, recovery=nothing(trial.recovery)) for trial in changes if trial.recovery is not None]
    without = replace(healthy, way_around=None, ways_around=tuple(vain), causes=())
    assert scheme_changes(without) == ()
    assert scheme_changes(replace(without, harm=ranking.harm)), "of a harmed one they say what does not help"
    assert "Scheme changes" not in diagnosis_summary(replace(diagnosis(), ranking=without))


def nothing(recovery: Recovery) -> Recovery:
    """As of a repair that changes no answer."""
    none = Interval(-1.0, 1.0)
    return replace(recovery, recovered_task=0.0, task_interval=none, recovered_db=0.0, db_interval=none, pairs=None)
