"""What `qdiag rank` and `qdiag diagnose` print."""

import re
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from qdiag.cli.tables.ranking import print_ranking
from qdiag.core.causes.score import FloatCost
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.task import Interval
from qdiag.reading.words.causes import commands, trial_title
from tests.diagnoses import diagnosis
from tests.figures import metric, with_metrics
from tests.other_tasks import judged_by_error, judged_by_sqnr


def printed(found: Diagnosis, width: int = 120) -> str:
    out = StringIO()
    print_ranking(Console(file=out, width=width, no_color=True), found)
    return out.getvalue()


def test_a_metric_of_the_users_is_shown_first_and_said_to_judge() -> None:
    found = diagnosis()
    own = metric("mean_iou", 0.7123, 0.3349, Interval(0.31, 0.45))
    task = with_metrics(found.measurement.task, own)
    text = printed(replace(found, measurement=replace(found.measurement, task=task)))
    line = next(line for line in text.splitlines() if line.startswith("task"))
    assert "mean_iou 0.7123 → 0.3349, drop 0.3774 (95 %: 0.31 to 0.45), 500 samples" in line
    assert "judged  by mean_iou, the metric that was given" in text
    assert "metric" not in printed(found)
    assert "judged  by top-1 at the output: the labels fit it" in printed(found)


def test_gains_are_in_the_unit_of_what_judges() -> None:
    text = printed(judged_by_error(diagnosis()))
    assert "depth error m" in text and "0.5163 to 0.6072" in text
    assert "depth error 0.346 m, weakest output SQNR 9.7 dB" in text
    assert "No repair recovers the remaining 0.016 m." in text
    assert "pp" not in text


def test_where_nothing_is_counted_the_next_step_names_the_options() -> None:
    text = " ".join(printed(judged_by_sqnr(diagnosis())).split())
    assert "judged by the SQNR of its outputs: nothing says what the network answers" in text
    assert "Options: --task, --output, --targets, --metric." in text
    assert "Options: --task" not in printed(diagnosis())


def test_what_is_left_afterwards_is_indented_as_a_whole() -> None:
    lines = printed(diagnosis(), width=80).splitlines()
    first = next(i for i, line in enumerate(lines) if "afterwards" in line)
    left = lines[first : first + 2]
    assert left[0].startswith("  The samples are too few to tell whether harm is left afterwards")
    assert all(line.startswith("  ") and not line.startswith("   ") for line in left)


def test_what_only_a_change_of_scheme_repairs_has_no_command_of_a_repair() -> None:
    found = diagnosis()
    ranking = replace(
        found.ranking,
        causes=(replace(found.ranking.causes[0], trials=found.ranking.causes[0].trials[2:]),),
        waterfall=(),
    )
    text = printed(replace(found, ranking=ranking))
    assert "To repair it:" not in text
    assert "\nTo measure it with one weight scale per channel (28 layers):\n" in "\n".join(
        line.rstrip() for line in text.splitlines()
    )


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_narrow_terminal_loses_columns_but_no_suspect_and_no_command(width: int) -> None:
    found = diagnosis()
    table = printed(found, width)
    words = " ".join(table.split())
    for cause in found.ranking.causes:
        assert f"{cause.rank}. {cause.code}" in words
    # commands are for copying: they go on behind a backslash, as a shell reads them
    lines = re.sub(r" \\\n +", " ", table).splitlines()
    for command in commands(found):
        assert f"  {command}" in lines


def test_a_repair_that_few_samples_ruled_out_says_how_many() -> None:
    found = diagnosis()
    first, *causes = found.ranking.causes
    best, other, *trials = first.trials
    assert (
        other.after is not None and " samples" not in printed(found).split("each made alone")[1].split("repair seq")[0]
    )
    few = replace(other, after=replace(other.after, task=replace(other.after.task, sample_count=32)))
    first = replace(first, trials=(best, few, *trials))
    text = printed(replace(found, ranking=replace(found.ranking, causes=(first, *causes))), width=140)
    table = text.split("each made alone")[1].split("repair sequence")[0]
    assert [line.split("  ")[1] for line in table.splitlines() if "samples" in line] == [
        f" {trial_title(other)}, on 32 of 500 samples"
    ]


def test_placebos_on_other_samples_each_say_on_how_many() -> None:
    found = diagnosis()
    first, *causes = found.ranking.causes
    at = next(i for i, trial in enumerate(first.trials) if trial.placebo is not None)
    plain = printed(found, width=80).split("repair sequence")[0]
    placebo = first.trials[at].placebo
    assert placebo is not None and " on " not in plain.split("each made alone")[1]
    trials = list(first.trials)
    trials[at] = replace(trials[at], placebo=replace(placebo, sample_count=32))
    ranking = replace(found.ranking, causes=(replace(first, trials=tuple(trials)), *causes))
    table = printed(replace(found, ranking=ranking), width=80).split("each made alone")[1].split("repair sequence")[0]
    numbers = re.findall(r"-?\d+\.\d on (\d+)", table)
    others = [t for c in ranking.causes for t in c.trials if t.placebo is not None and t.placebo.sample_count is None]
    assert numbers.count("32") == 1 and set(numbers) <= {"32", "500"}
    assert not others or "500" in numbers


@pytest.mark.parametrize(("moved", "is_said"), [(0.9, True), (1e-7, False)])
def test_what_is_recovered_by_another_float_network_is_said_to_be_so(moved: float, is_said: bool) -> None:
    found = diagnosis()
    first, *causes = found.ranking.causes
    best = first.trials[0]
    assert best.recovery is not None
    noisy = replace(best.recovery, recovered_db=-36.8, db_interval=Interval(-38.6, -35.0))
    other = replace(best, recovery=noisy, float_cost=FloatCost(moved, loss=-28.1, unit="pp", small=1.0))
    assert not other.helps
    first = replace(first, trials=(other, *first.trials[1:]))
    text = printed(replace(found, ranking=replace(found.ranking, causes=(first, *causes))), width=200)
    assert (f"{trial_title(other)}, which changes the float network" in text) == is_said
