"""Words that follow what was measured: nothing is proposed or praised that recovered nothing."""

import html
import io
import re
from collections.abc import Mapping

import pytest
from rich.console import Console

from qdiag.cli.tables.ranking import print_ranking
from qdiag.core.causes.harm import harm_of
from qdiag.core.causes.places import lost_most, sqnr_db_at
from qdiag.core.causes.ranking import Ranking, Trial
from qdiag.core.causes.score import Recovery
from qdiag.core.diagnosis import Diagnosis
from qdiag.reading.layer_names import counted_places
from qdiag.reading.proposals import repaired_score
from qdiag.reading.words.causes import commands, headline, repair_title, way_around_commands
from qdiag.reading.words.preprocessing import preprocessing_command
from qdiag.reading.words.task.afterwards import repair_heading, writes_something
from tests.surfaces import assert_surfaces_agree, reports_of


def assert_words_follow(found: Diagnosis) -> None:
    """Holds the headline and the commands of a diagnosis against its figures."""
    ranking, words = found.ranking, headline(found)
    if commands(found):
        gains = [step.gained for step in ranking.waterfall] or [
            trial.recovery
            for cause in ranking.claimed
            for trial in cause.trials
            if trial.keeps_scheme and trial.recovery is not None and _is_sure(trial.recovery)
        ]
        assert gains and _is_sure(gains[-1]), words
        assert not ranking.waterfall or _given_back(ranking) > 0.0, words
    quoted = re.findall(r"recovers? (-?\d+(?:\.\d+)?)", words)
    if quoted and not ranking.waterfall:
        proofs = [t.recovery for cause in ranking.claimed for t in cause.trials if t.recovery and _is_sure(t.recovery)]
        values = [r.recovered_task if r.has_task else r.recovered_db for r in proofs]
        sizes = {written for value in values for written in (f"{value:.1f}", f"{value:.4g}")}
        assert set(quoted) <= sizes, words
    assert all(float(size) > 0.0 for size in quoted), words
    if ranking.claimed:
        proofs_of_first = [t for t in ranking.claimed[0].trials if _is_proof(t)]
        by_scheme_alone = bool(proofs_of_first) and not any(t.keeps_scheme for t in proofs_of_first)
        assert ("only a change of scheme" in words) == by_scheme_alone, words
        way = ranking.way_around.repair if ranking.way_around is not None else None
        if by_scheme_alone and any(trial.repair == way for trial in proofs_of_first):
            assert repair_title(str(way)) in words, words
        assert not (commands(found) and re.search("only a change of scheme repairs", words)), words
    _assert_proofs_are_own(ranking)
    for cause in ranking.causes:
        is_refused = any(trial.refused is not None for trial in cause.trials)
        assert not (is_refused and "could be" in cause.reason), cause.reason


def _assert_proofs_are_own(ranking: Ranking) -> None:
    """No cause by what other layers recover, none harmless on an unsure state; decibels of one and the same place."""
    for cause in ranking.claimed:
        proofs = [t for t in cause.trials if _is_proof(t) and not (t.own is not None and not t.own.is_gain)]
        needed = "hidden behind" in cause.reason
        assert proofs or needed, cause.reason
    own_steps = [step for step in ranking.waterfall if step.code]
    if own_steps and harm_of(own_steps[-1].after).state == "unsure":
        assert not [cause.code for cause in ranking.causes if cause.verdict == "harmless"]
    for cause in ranking.causes:
        for trial in cause.trials:
            # what was tried in the fused network is measured from that one, which is a trial of its own
            bases = [t.after for t in cause.trials if (t.repair,) == trial.first] if trial.first else [ranking.before]
            (base,) = bases
            assert base is not None
            place = lost_most(base)
            # what was ruled out on a few samples is compared with the network as it is on the same ones
            is_of_all = trial.after is not None and trial.after.task.sample_count == base.task.sample_count
            if trial.recovery is not None and trial.after is not None and place is not None and is_of_all:
                read = sqnr_db_at(trial.after, place) - sqnr_db_at(base, place)
                assert trial.recovery.recovered_db == pytest.approx(read, abs=1e-4), trial.repair


def assert_surfaces_follow(found: Diagnosis) -> None:
    """Holds the terminal, report.md and report.html of a diagnosis against its figures.

    Nothing is healthy, and nothing is said to be left to repair, while a figure or an output falls beyond its limit;
    and no command stands anywhere whose measured recovery is not above zero beyond noise.
    """
    reports = reports_of(found)
    surfaces = {"terminal": _terminal(found), "markdown": reports.markdown, "html": reports.html}
    is_fallen = _is_beyond_a_limit(found)
    for name, text in surfaces.items():
        said = " ".join(text.split())
        if is_fallen:
            assert "Nothing to repair" not in said, name
            assert not re.search(r"\bhealthy\b", _shown(name, text)), name
    _assert_harm_that_is_left_is_said(found, surfaces)
    allowed = _commands_that_help(found)
    for name, text in surfaces.items():
        stray = [line for line in _commands_in(name, text) if line not in allowed]
        assert not stray, (name, stray)
    for line in commands(found):
        assert all(line in _commands_in(name, text) for name, text in surfaces.items()), line
    assert_surfaces_agree(found, reports)


def _assert_harm_that_is_left_is_said(found: Diagnosis, surfaces: Mapping[str, str]) -> None:
    """Beside the commands, where the network is still harmed after them."""
    way = found.ranking.way_around
    is_repaired = harm_of(repaired_score(found)).verdict != "harmed"
    for name, text in surfaces.items():
        said = " ".join(_shown(name, text).split())
        if commands(found):
            assert repair_heading(repaired_score(found), commands(found)).rstrip(":") in said, name
        if writes_something(commands(found)):
            assert ("To repair a part of it" in said) != is_repaired, name
            assert ("is still harmed afterwards: the" in said) or is_repaired, name
            assert "only a change of scheme repairs" not in said, name
        if way is not None and way.after is not None and harm_of(way.after).verdict == "harmed":
            assert "still harmed" in said, name


def _terminal(found: Diagnosis) -> str:
    console = Console(file=io.StringIO(), width=120, highlight=False)
    print_ranking(console, found)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def _is_beyond_a_limit(found: Diagnosis) -> bool:
    """Of the figure that judges, or of any output's SQNR where it is not a figure of it that judges."""
    before = found.ranking.before
    judged, outputs = before.task.judged, before.outputs
    if judged is None:
        return before.output_sqnr_db < 20.0
    beside = [o for o in outputs if before.task.choice.output and o.name != before.task.choice.output]
    return judged.loss > judged.limit or any(o.weakest_sqnr_db < 20.0 for o in beside)


def _shown(name: str, text: str) -> str:
    """What a reader sees: of a page its body, without styles and scripts, whose rules know every state."""
    if name != "html":
        return text
    body = re.sub(r"<(style|script)\b.*?</\1>", "", text, flags=re.DOTALL)
    return re.sub(r"<[^>]+>", " ", body) + " ".join(re.findall(r'class="pill ([a-z]+)"', body))


def _commands_in(name: str, text: str) -> list[str]:
    """Lines of commands, and comments among them."""
    if name == "terminal":
        return [line[2:] for line in text.splitlines() if re.match(r"  (qdiag[ .]|# )", line)]
    blocks = re.findall(r"```(?:sh|python)\n(.*?)```", text, re.DOTALL)
    if name == "html":
        blocks = [
            html.unescape(re.sub("<[^>]*>", "", block))
            for block in re.findall(r"<pre tabindex=\"0\"><code>(.*?)</code>", text, re.DOTALL)
        ]
    return [line for block in blocks for line in block.replace(" \\\n    ", " ").splitlines()]


def _commands_that_help(found: Diagnosis) -> set[str]:
    """Those of the sequence, which `assert_words_follow` looks at, and of repairs that recovered something."""
    ranking = found.ranking
    trials = [trial for cause in ranking.causes for trial in cause.trials] + [*ranking.ways_around]
    trials += [ranking.way_around] if ranking.way_around is not None else []
    helping = [trial for trial in trials if _is_proof(trial)]
    again = preprocessing_command(found)
    return {
        *commands(found),
        *(line for trial in helping for line in way_around_commands(found, trial)),
        # the row of the table that such a command measures
        *(f"# {repair_title(trial.repair)}, {counted_places(trial.layers)}" for trial in helping),
        *([again] if again is not None else []),
    }


def _is_proof(trial: Trial) -> bool:
    if trial.recovery is None or not _is_sure(trial.recovery):
        return False
    return trial.placebo is None or _is_sure(trial.placebo.over_placebo)


def _is_sure(recovery: Recovery) -> bool:
    if recovery.has_task:
        return recovery.task_interval.low > 0.0
    return recovery.db_interval.low > 0.0


def _given_back(ranking: Ranking) -> float:
    """Points of the figure that judges, or dB."""
    before, after = ranking.before.task.judged, ranking.waterfall[-1].after.task.judged
    if before is None or after is None:
        return ranking.waterfall[-1].after.output_sqnr_db - ranking.before.output_sqnr_db
    return before.loss - after.loss
