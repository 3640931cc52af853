"""The part of report.md on causes: what was tried, what it gave back, in which order, and the ways around."""

from collections.abc import Sequence

from qdiag.core.causes.findings import Finding, FindingSite
from qdiag.core.causes.ranking import RankedCause, Ranking, Trial
from qdiag.core.diagnosis import Diagnosis
from qdiag.reading.words.bn import channel_list
from qdiag.reading.words.causes import (
    VERDICT_WORDS,
    best_trial,
    cause_title,
    repair_title,
    score_words,
    step_title,
    trial_title,
    way_around_commands,
)
from qdiag.reading.words.commands.training import training_commands
from qdiag.reading.words.evidence import evidence_words
from qdiag.reading.words.numbers import UNKNOWN, count_noun
from qdiag.reading.words.scheme_changes import scheme_changes
from qdiag.reading.words.task.afterwards import still_words
from qdiag.reading.words.task.figures import (
    change_with_bounds,
    change_words,
    recovery_words,
    reference_words,
    trial_criterion,
)
from qdiag.reading.words.task.float_cost import float_words
from qdiag.reading.words.task.places import lost_most_words, same_place_words
from qdiag.reading.words.trials.own_layers import credited_words, own_words
from qdiag.reading.words.trials.training import training_lines
from qdiag.writers.markdown.text import PictureLink, code, codes, pictures_of, section, shell, table, text

_SITES_AT_MOST = 8
_METHOD = (
    "Every suspect was repaired alone, on a copy, and the network measured again on the same samples. It is called a "
    "cause only where that gives back more than noise, and more than a placebo: the same repair, of the same size, "
    "where the finding is not. Repairs that keep the scheme decide the rank."
)


def causes_section(diagnosis: Diagnosis) -> str:
    """The ranked table, then every suspect with its sites and all repairs that were tried."""
    ranking = diagnosis.ranking
    if not ranking.causes:
        return section("Causes", "No finding that a repair could test." if not ranking.findings else "")
    rows = [_cause_row(cause) for cause in ranking.causes]
    header = ("rank #", "suspect", "verdict", "layers", "best repair", "gives back", "its placebo")
    return section(
        "Causes, ranked by what repairing them gives back",
        _METHOD,
        table(header, rows),
        *(_suspect(cause, ranking) for cause in ranking.causes),
    )


def _cause_row(cause: RankedCause) -> tuple[str, ...]:
    trial = best_trial(cause)
    back = placebo = ""
    if trial is not None and trial.recovery is not None:
        own = trial_criterion(trial)
        back = text(credited_words(trial, own))
        placebo = text(trial.no_placebo or "not measured")
        if trial.placebo is not None:
            placebo = text(recovery_words(trial.placebo.recovery, own))
    return (
        str(cause.rank),
        f"{cause.code} {text(cause_title(cause.code))}",
        f"**{VERDICT_WORDS[cause.verdict]}**" if cause.verdict == "cause" else VERDICT_WORDS[cause.verdict],
        codes(cause.layers, 2),
        text(trial_title(trial)) if trial is not None else "none was measured",
        back,
        placebo,
    )


def _suspect(cause: RankedCause, ranking: Ranking) -> str:
    blocks = [
        f"### {cause.rank}. {cause.code}: {text(cause_title(cause.code))}",
        f"{VERDICT_WORDS[cause.verdict].capitalize()}: {text(cause.reason)}." if cause.reason else "",
        _sites(cause.sites),
        _also(cause.findings[1:]),
        _trials(cause.trials, ranking),
    ]
    return "\n\n".join(block for block in blocks if block)


def _also(findings: Sequence[Finding]) -> str:
    words = [
        f"{finding.code} {text(cause_title(finding.code))} ({codes(finding.layers) or 'the whole network'})"
        for finding in findings
    ]
    return f"Pointing at the same places: {'; '.join(words)}." if words else ""


def _sites(sites: Sequence[FindingSite]) -> str:
    rows = [
        (
            code(site.layer),
            _channels(site) or "whole layer",
            text("; ".join(map(evidence_words, site.evidence))),
        )
        for site in sites[:_SITES_AT_MOST]
    ]
    rest = len(sites) - _SITES_AT_MOST
    more = f"\n\n… and {count_noun(rest, 'more layer')}." if rest > 0 else ""
    return table(("layer", "channels", "seen"), rows) + more


def _channels(site: FindingSite) -> str:
    return f"inputs {channel_list(site.inputs)}" if site.inputs else channel_list(site.channels)


def _trials(trials: Sequence[Trial], ranking: Ranking) -> str:
    header = ("repair tried", "scheme", "gives back", "afterwards", "over its placebo", "float network")
    return table(header, (_trial_row(trial, ranking) for trial in trials))


def _trial_row(trial: Trial, ranking: Ranking) -> tuple[str, ...]:
    criterion = ranking.criterion
    scheme = "kept" if trial.keeps_scheme else "changed"
    cost = float_words(trial.float_cost, trial.repair)
    name = f"{text(trial_title(trial))} ({code(trial.repair)})"
    if trial.refused is not None:
        return name, scheme, f"refused: {text(trial.refused)}", "", "", cost
    placebo = text(trial.no_placebo or "not measured")
    if trial.placebo is not None:
        placebo = text(recovery_words(trial.placebo.over_placebo, criterion))
    return name, scheme, _back(trial, ranking), _afterwards(trial, ranking), placebo, cost


def _back(trial: Trial, ranking: Ranking) -> str:
    """What came back, where its decibels were read, and which share is that of the suspect's own layers."""
    if trial.recovery is None:
        return UNKNOWN
    words = recovery_words(trial.recovery, ranking.criterion)
    if trial.recovery.has_task:
        words += f"; {change_with_bounds(None, trial.recovery.recovered_db, trial.recovery.db_interval)}"
    own = own_words(trial, ranking.criterion)
    return text(words + lost_most_words(ranking.before) + (f"; {own}" if own else ""))


def _back_in_short(trial: Trial, ranking: Ranking) -> str:
    if trial.recovery is None:
        return UNKNOWN
    where = "" if trial.recovery.has_task else lost_most_words(ranking.before)
    return text(recovery_words(trial.recovery, ranking.criterion) + where)


def _afterwards(trial: Trial, ranking: Ranking) -> str:
    """What the network comes to, at the place where most had been lost too, and whether it is harmed then."""
    if trial.after is None:
        return UNKNOWN
    same_place = same_place_words(ranking.before, trial.after)
    still = still_words(trial.after) if ranking.harm.verdict == "harmed" else ""
    return text(score_words(trial.after, ranking.criterion) + same_place + still)


def waterfall_section(diagnosis: Diagnosis, links: Sequence[PictureLink]) -> str:
    """Repairs one on top of the other, and what none of them explains."""
    ranking = diagnosis.ranking
    if not ranking.waterfall:
        return ""
    criterion = ranking.criterion
    rows = [("", "quantized, as it is", "", text(score_words(ranking.before, criterion)), "")]
    for index, step in enumerate(ranking.waterfall, start=1):
        what = f"{text(step_title(step))}: {text(repair_title(step.repair))}"
        gained = text(recovery_words(step.gained, criterion))
        rows.append((str(index), what, codes(step.layers), text(score_words(step.after, criterion)), gained))
    judged = ranking.before.task.judged
    if judged is not None:
        remainder = text(change_words(judged.criterion, ranking.remainder))
        rows.append(("", "**not given back by any repair here**", "", "", remainder))
        rows.append(("", "float", "", text(reference_words(judged)), ""))
    header = ("step #", "repair", "layers", "afterwards", "gained over the step before")
    intro = "Each repair keeps the scheme and is measured on top of those before it."
    return section("Repaired step by step", intro, table(header, rows), *pictures_of(links, "causes"))


def _comment(trial: Trial) -> str:
    """Which row of the table a command belongs to."""
    return f"# {repair_title(trial.repair)}, {count_noun(len(trial.layers), 'layer')}"


def ways_around_section(diagnosis: Diagnosis) -> str:
    """Changes of scheme: what they give back, what they cost, and how to measure them."""
    ranking = diagnosis.ranking
    trials = scheme_changes(ranking)
    rows = [
        (
            text(repair_title(trial.repair)),
            count_noun(len(trial.layers), "layer"),
            _back_in_short(trial, ranking),
            _afterwards(trial, ranking),
            text("; ".join(map(evidence_words, trial.costs))) or UNKNOWN,
        )
        for trial in trials
    ]
    helping = [trial for trial in trials if trial.helps]
    found = {line: trial for trial in reversed(helping) for line in way_around_commands(diagnosis, trial)}
    lines = [part for line, trial in reversed(found.items()) for part in (_comment(trial), line)]
    intro = "For hardware that allows another scheme; each measured alone, on the network without repairs."
    header = ("change of scheme", "where", "gives back", "afterwards", "costs")
    return section("Ways around", *([intro, table(header, rows), shell(lines) if lines else ""] if rows else []))


def training_section(diagnosis: Diagnosis) -> str:
    """What training gives back where repairs without it leave something, and how to train so where it helps."""
    lines, found = training_lines(diagnosis), training_commands(diagnosis)
    return section("Training", *map(text, lines), *([shell(found)] if found else []))
