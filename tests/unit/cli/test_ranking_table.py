"""What `qdiag rank` and `qdiag diagnose` print."""

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from qdiag.cli.tables.ranking import print_ranking
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.task import Interval, MetricScore
from qdiag.writers.words.causes import commands
from tests.diagnoses import diagnosis


def printed(found: Diagnosis, width: int = 120) -> str:
    out = StringIO()
    print_ranking(Console(file=out, width=width, no_color=True), found)
    return out.getvalue()


def test_a_metric_of_the_users_is_shown_and_said_not_to_rank() -> None:
    found = diagnosis()
    score = MetricScore("mean_iou", 0.7123, 0.3349, Interval(0.31, 0.45))
    task = replace(found.measurement.task, metrics=(score,))
    text = printed(replace(found, measurement=replace(found.measurement, task=task)))
    line = next(line for line in text.splitlines() if line.startswith("metric"))
    assert "mean_iou 0.7123 → 0.3349, float - quantized 95 % 0.31 to 0.45; repairs are ranked by top-1" in line
    assert "metric" not in printed(found)


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_narrow_terminal_loses_columns_but_no_suspect_and_no_command(width: int) -> None:
    found = diagnosis()
    table = printed(found, width)
    words = " ".join(table.split())
    for cause in found.ranking.causes:
        assert f"{cause.rank}. {cause.code}" in words
    # commands are for copying: they are never broken into lines
    lines = table.splitlines()
    for command in commands(found):
        assert f"  {command}" in lines
