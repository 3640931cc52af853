"""The part of report.md on causes: what was tried, what it recovered, in which order, and the changes of scheme."""

from collections.abc import Sequence

from qdiag.reading.diagnosis import Reading
from qdiag.reading.labels import (
    AFTERWARDS,
    AS_IT_IS,
    BEST_REPAIR,
    BEYOND_PLACEBO,
    CAUSES_TITLE,
    CHANGES_METHOD,
    CHANGES_TITLE,
    CHANNELS,
    COSTS,
    EVIDENCE,
    FLOAT,
    FLOAT_NETWORK,
    LAYERS,
    METHOD,
    PLACEBO,
    RECOVERS,
    REPAIR,
    SCHEME,
    SEQUENCE_METHOD,
    SEQUENCE_TITLE,
    SUSPECT,
    UNTRIED_TITLE,
    VERDICT,
)
from qdiag.reading.scheme_changes import ChangeRow
from qdiag.reading.suspects import FindingRow, SiteRow, SuspectRow, TrialRow
from qdiag.reading.words.numbers import UNKNOWN, count_noun
from qdiag.writers.markdown.text import PictureLink, code, codes, pictures_of, section, shell, table, text

_SITES_AT_MOST = 8


def causes_section(reading: Reading) -> str:
    """The ranked table, then every suspect with its sites and all repairs that were tried."""
    if not reading.suspects:
        return section("Causes", "No finding that a repair could test." if not reading.untried else "")
    header = ("rank #", SUSPECT, VERDICT, LAYERS, BEST_REPAIR, RECOVERS, PLACEBO)
    return section(
        CAUSES_TITLE,
        METHOD,
        table(header, map(_suspect_row, reading.suspects)),
        *map(_suspect, reading.suspects),
    )


def _suspect_row(row: SuspectRow) -> tuple[str, ...]:
    return (
        str(row.rank),
        f"{row.code} {text(row.title)}",
        f"**{row.verdict}**" if row.cause.verdict == "cause" else row.verdict,
        codes(row.layers, 2),
        text(row.best.title) if row.best is not None else "none was measured",
        text(row.credited),
        text(row.placebo),
    )


def _suspect(row: SuspectRow) -> str:
    blocks = [
        f"### {row.rank}. {row.code}: {text(row.title)}",
        f"{row.verdict.capitalize()}: {text(row.reason)}." if row.reason else "",
        _sites(row.sites),
        _also(row.also),
        _trials(row.trials),
    ]
    return "\n\n".join(block for block in blocks if block)


def _also(rows: Sequence[FindingRow]) -> str:
    words = [f"{row.code} {text(row.title)} ({codes(row.layers) or 'the whole network'})" for row in rows]
    return f"These findings point at the same places: {'; '.join(words)}." if words else ""


def _sites(sites: Sequence[SiteRow]) -> str:
    rows = [(code(site.layer), site.channels, text("; ".join(site.evidence))) for site in sites[:_SITES_AT_MOST]]
    rest = len(sites) - _SITES_AT_MOST
    more = f"\n\n… and {count_noun(rest, 'more layer')}." if rest > 0 else ""
    return table(("layer", CHANNELS, EVIDENCE), rows) + more


def _trials(trials: Sequence[TrialRow]) -> str:
    header = (REPAIR, SCHEME, RECOVERS, AFTERWARDS, PLACEBO, BEYOND_PLACEBO, FLOAT_NETWORK)
    return table(header, map(_trial_row, trials))


def _trial_row(row: TrialRow) -> tuple[str, ...]:
    name = f"{text(row.title)} ({code(row.trial.repair)})"
    placebo = text(row.placebo_words)
    beyond = text(row.beyond_placebo.full) if row.beyond_placebo is not None else ""
    return name, row.scheme, text(row.recovers_words), text(row.afterwards), placebo, beyond, text(row.float_network)


def sequence_section(reading: Reading, links: Sequence[PictureLink]) -> str:
    """Repairs one on top of the other, and what none of them recovers."""
    sequence = reading.sequence
    if not sequence.steps:
        return ""
    rows = [("", AS_IT_IS, "", text(sequence.before), "")]
    for index, step in enumerate(sequence.steps, start=1):
        what = f"{text(step.suspect)}: {text(step.repair)}"
        rows.append((str(index), what, codes(step.layers), text(step.afterwards), text(step.recovers.full)))
    if sequence.remainder is not None:
        rows.append(("", f"**{sequence.remainder_label}**", "", "", text(sequence.remainder.words)))
        rows.append(("", FLOAT, "", text(sequence.reference), ""))
    header = ("step #", REPAIR, LAYERS, AFTERWARDS, f"{RECOVERS} over the step before")
    layers = text(reading.repaired_layers)
    return section(SEQUENCE_TITLE, SEQUENCE_METHOD, table(header, rows), layers, *pictures_of(links, "causes"))


def changes_section(reading: Reading) -> str:
    """Changes of scheme: what they recover, what they cost, and how to measure them."""
    if not reading.changes:
        return ""
    lines = [part for row in reading.changes for line in row.commands for part in (_comment(row), line)]
    header = ("scheme change", "where", RECOVERS, AFTERWARDS, COSTS)
    rows = map(_change_row, reading.changes)
    layers = [text(row.repaired_layers) for row in reading.changes if row.repaired_layers]
    return section(CHANGES_TITLE, CHANGES_METHOD, table(header, rows), *layers, shell(lines) if lines else "")


def _change_row(row: ChangeRow) -> tuple[str, ...]:
    tried = row.tried
    recovers = tried.recovers.full + ("" if tried.decibels is not None else tried.at) if tried.recovers else UNKNOWN
    costs = "; ".join(row.costs) or UNKNOWN
    return text(row.title), tried.where, text(recovers), text(tried.afterwards), text(costs)


def _comment(row: ChangeRow) -> str:
    """Which row of the table a command belongs to."""
    return f"# {row.title}, {row.tried.where}"


def training_section(reading: Reading) -> str:
    """What training recovers where repairs without it leave something, and how to train so where it helps."""
    found = reading.training_proposal
    return section("Training", *map(text, reading.training), *([shell(found.commands)] if found is not None else []))


def untried_section(reading: Reading) -> str:
    """What was seen and belongs to no suspect: facts, not causes."""
    rows = [
        (f"{row.code} {text(row.title)}", codes(row.layers), text("; ".join(row.evidence))) for row in reading.untried
    ]
    return section(UNTRIED_TITLE, table(("finding", LAYERS, f"{EVIDENCE} at the worst place"), rows))
