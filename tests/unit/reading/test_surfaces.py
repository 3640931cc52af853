"""Terminal, Markdown, HTML, notebook, summary, gate and compare say the same of one result."""

import re
from dataclasses import replace
from functools import cache

import pytest

from qdiag.compare.diagnoses import compare_diagnoses
from qdiag.core.causes.ranking import Ranking
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.deployed.file import DeployedFile
from qdiag.gate.causes import named_causes
from qdiag.reading.amount import amount_of
from qdiag.reading.diagnosis import read
from qdiag.reading.labels import AFTERWARDS, BEYOND_PLACEBO, CHANGES_TITLE, PLACEBO, RECOVERS, VERDICT
from qdiag.reading.words.gate import named_cause_words
from tests.diagnoses import diagnosis, doubtful_diagnosis, healthy_diagnosis, repaired_diagnosis, unlabelled_diagnosis
from tests.other_tasks import judged_by_error, judged_by_sqnr
from tests.surfaces import Reports, assert_layer_tables_agree, assert_surfaces_agree, reports_of, surfaces_of


def nothing_recovered() -> Diagnosis:
    """Harmed, and no repair that was tried recovered anything."""
    found = diagnosis()
    causes = tuple(replace(cause, verdict="undecided", trials=()) for cause in found.ranking.causes)
    return replace(found, ranking=replace(found.ranking, causes=causes, waterfall=(), way_around=None))


def deployed() -> Diagnosis:
    """Of a quantized file, whose commands write a repaired one."""
    found = diagnosis()
    file = DeployedFile("int8.onnx", "QDQ", "float", ())
    options = ("--data", "photos/", "--quantized", "int8.onnx")
    return replace(found, measurement=replace(found.measurement, deployed=file), options=options)


RESULTS = {
    "planted": diagnosis(),
    "repaired": repaired_diagnosis(),
    "healthy": healthy_diagnosis(),
    "unlabelled": unlabelled_diagnosis(),
    "doubtful": doubtful_diagnosis(),
    "error": judged_by_error(diagnosis()),
    "sqnr": judged_by_sqnr(diagnosis()),
    "nothing recovered": nothing_recovered(),
    "deployed": deployed(),
}


@cache
def reports(name: str) -> Reports:
    return reports_of(RESULTS[name])


@pytest.mark.parametrize("name", RESULTS)
def test_all_surfaces_name_the_same_causes_changes_commands_and_numbers(name: str) -> None:
    assert_surfaces_agree(RESULTS[name], reports(name))


@pytest.mark.parametrize("name", RESULTS)
def test_all_tables_of_layers_have_the_same_columns_and_figures(name: str) -> None:
    assert_layer_tables_agree(RESULTS[name], reports(name))


def test_columns_and_sections_have_the_same_labels() -> None:
    surfaces = surfaces_of(RESULTS["planted"], reports("planted"))
    for label in (RECOVERS, VERDICT, CHANGES_TITLE):
        assert all(label.lower() in surfaces[name] for name in ("terminal", "markdown", "html")), label
    for label in (AFTERWARDS, PLACEBO, BEYOND_PLACEBO):
        assert all(label in surfaces[name] for name in ("markdown", "html")), label
    for name, text in surfaces.items():
        assert not re.search(r"gives? back|ways? around", text), name


def test_the_gate_and_a_comparison_tell_of_a_cause_what_the_reports_tell() -> None:
    found = RESULTS["planted"]
    ranking: Ranking = found.ranking
    rows = {row.code: row for row in read(found).suspects}
    named = named_causes(ranking, None)
    assert [cause.code for cause in named] == [row.code for row in rows.values() if row.cause.verdict == "cause"]
    changes = compare_diagnoses(found, found, source_before="a", source_after="b").causes
    for cause in named:
        best = rows[cause.code].best
        assert best is not None and best.recovers is not None and best.trial.recovery is not None
        assert best.recovers.words in named_cause_words(cause) and best.title in named_cause_words(cause)
        (change,) = [one for one in changes if one.code == cause.code]
        assert change.recovered_after == best.trial.recovery.recovered_task
        assert amount_of(best.trial.recovery, ranking.criterion) == best.recovers
